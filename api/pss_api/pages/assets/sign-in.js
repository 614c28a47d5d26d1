import { Problem, call } from "./interface.js";
import { element, onClick, onSubmit, show, tell } from "./forms.js";
import { passkeysWork, provePasskey } from "./passkeys.js";
import { begin } from "./session.js";

const STEP = "pss.sign-on-step";
const RETURN = `${location.origin}/account/signed-on`;
let step = null;

function go(answer) {
  if (!answer.second_factor) {
    begin(answer);
    location.replace("/account");
    return;
  }
  const { step_token, kinds } = answer.second_factor;
  const app = kinds.includes("totp");
  step = step_token;
  element("with-code").hidden = !app;
  element("second-passkey").hidden = !(kinds.includes("passkey") && passkeysWork());
  element("with-recovery").hidden = !kinds.includes("recovery_code");
  element("with-recovery").open = !app && element("second-passkey").hidden;
  const none = ["with-code", "second-passkey", "with-recovery"].every((id) => element(id).hidden);
  element("second-none").hidden = !none;
  show("second");
  if (app) element("code").focus();
}

const second = (proof) => call("POST", "/sessions/second-factor", { step_token: step, ...proof });

onSubmit(element("with-password"), async ({ email, password }) => {
  go(await call("POST", "/sessions", { email, password }));
});
onSubmit(element("with-code"), async ({ code }) => go(await second({ code: code.trim() })));
onSubmit(element("with-recovery").querySelector("form"), async ({ recovery_code }) => {
  go(await second({ recovery_code: recovery_code.trim() }));
});
onClick(element("second-passkey"), element("second-refusal"), async () => {
  const asked = await call("POST", "/sessions/second-factor/passkey-options", { step_token: step });
  go(await second({ passkey: await provePasskey(asked) }));
});
onClick(element("with-passkey"), element("first-refusal"), async () => {
  const asked = await call("POST", "/sessions/passkey/options");
  go(await call("POST", "/sessions/passkey", { passkey: await provePasskey(asked) }));
});
onClick(element("with-sign-on"), element("first-refusal"), async () => {
  const begun = await call("POST", "/sign-on", { redirect_uri: RETURN });
  sessionStorage.setItem(STEP, begun.step); // comes back into this tab alone
  location.assign(begun.authorization_url);
});

element("with-passkey").hidden = !passkeysWork();
element("with-sign-on").hidden = !(document.body.dataset.redirectUris || "").split(" ").includes(RETURN);
element("other").hidden = element("with-passkey").hidden && element("with-sign-on").hidden;

// Back from the identity provider, which has written into the address.
async function back() {
  const given = new URLSearchParams(location.search);
  history.replaceState(null, "", "/account/sign-in");
  const kept = sessionStorage.getItem(STEP);
  sessionStorage.removeItem(STEP);
  try {
    const [state, code, iss] = ["state", "code", "iss"].map((name) => given.get(name));
    if (!kept || !state || !code) throw new Problem(401, { detail: "The sign-in did not work. Begin again." });
    go(await call("POST", "/sign-on/callback", { step: kept, state, code, ...(iss ? { iss } : {}) }));
  } catch (error) {
    tell(element("first-refusal"), error);
  }
}

if (location.pathname.endsWith("/signed-on")) back();
