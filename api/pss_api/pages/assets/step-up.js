// Asking for a second factor once more, where something needs a fresh one (RFC 9470).
import { element, onClick, onSubmit } from "./forms.js";
import { Problem } from "./interface.js";
import { passkeysWork, provePasskey } from "./passkeys.js";
import { ask, raise } from "./session.js";

const dialog = element("step-up");
const form = dialog.querySelector("form");
let settle = null;

export function offerStepUp(kinds) {
  const app = kinds.includes("totp");
  element("step-up-code").hidden = !app;
  element("step-code").disabled = !app;
  form.querySelector("[type=submit]").hidden = !app;
  element("step-up-passkey").hidden = !(kinds.includes("passkey") && passkeysWork());
}

export async function withStepUp(action) {
  try {
    return await action();
  } catch (error) {
    if (error.code !== "step-up-required") throw error;
  }
  await stepUp();
  return action();
}

function stepUp() {
  return new Promise((resolve, reject) => {
    settle = (given) => {
      settle = null;
      if (given) resolve();
      else reject(new Problem(403, { detail: "Nothing was changed: a second factor is needed for this." }));
    };
    form.reset();
    dialog.showModal();
  });
}

async function give(proof) {
  raise(await ask("POST", "/sessions/current/step-up", proof));
  settle?.(true);
  dialog.close();
}

onSubmit(form, async ({ code }) => give({ code: code.trim() }));
onClick(element("step-up-passkey"), form.querySelector(".refusal"), async () => {
  const asked = await ask("POST", "/sessions/current/step-up/passkey-options");
  await give({ passkey: await provePasskey(asked) });
});
element("step-up-cancel").addEventListener("click", () => dialog.close());
dialog.addEventListener("close", () => settle?.(false));
