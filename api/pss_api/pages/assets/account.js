import { element, onClick, onSubmit, tell } from "./forms.js";
import { makePasskey, passkeysWork } from "./passkeys.js";
import { ask, raise, signInAgain } from "./session.js";
import { offerStepUp, withStepUp } from "./step-up.js";

const moment = new Intl.DateTimeFormat("en", { dateStyle: "medium", timeStyle: "short" });
const WAYS = { pwd: "password", otp: "app code", hwk: "passkey", swk: "passkey" };
const KINDS = { totp: "Authenticator app", passkey: "Passkey" };
let waiting = null; // the app that is to be confirmed

function entry(title, details, label, refusal, action) {
  const item = document.createElement("li");
  const text = document.createElement("div");
  text.append(title);
  for (const detail of details.filter(Boolean)) {
    const line = document.createElement("small");
    line.textContent = detail;
    text.append(line);
  }
  item.append(text);
  if (action) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "quiet";
    button.textContent = label;
    button.setAttribute("aria-label", `${label}: ${title}`);
    onClick(button, refusal, action);
    item.append(button);
  }
  return item;
}

// --- second factors

async function showFactors() {
  const { data, recovery_codes_left: left } = await ask("GET", "/me/factors");
  offerStepUp(data.map((one) => one.kind));
  element("factors").replaceChildren(...data.map(factorEntry));
  element("recovery").hidden = data.length === 0;
  element("codes-left").textContent = left
    ? `${left} left. Each stands in once for a factor that you have lost.`
    : "You have none. Each stands in once for a factor that you have lost.";
}

function factorEntry(one) {
  const used = one.used_at ? `Last used ${moment.format(new Date(one.used_at))}` : "Not used yet";
  const details = [one.name === KINDS[one.kind] ? "" : KINDS[one.kind], used];
  return entry(one.name, details, "Remove", element("factors-refusal"), async () => {
    if (!confirm(`Remove “${one.name}”? Your other sessions end.`)) return;
    await withStepUp(() => ask("DELETE", `/me/factors/${one.id}`));
    await showAll();
  });
}

function endEnrolment() {
  waiting = null;
  element("secret").textContent = "";
  element("qr-code").removeAttribute("src");
  element("confirm-app").reset();
  element("enrol").hidden = true;
}

onClick(element("add-app"), element("factors-refusal"), async () => {
  const made = await withStepUp(() => ask("POST", "/me/factors/totp", {}));
  waiting = made.id;
  element("secret").textContent = made.secret.replace(/(.{4})(?=.)/g, "$1 ");
  element("qr-code").src = made.qr_code;
  element("enrol").hidden = false;
  element("enrol").querySelector("h3").focus();
});
onClick(element("cancel-app"), element("factors-refusal"), async () => {
  endEnrolment();
  element("add-app").focus();
});
onSubmit(element("confirm-app"), async ({ code }) => {
  raise((await ask("POST", `/me/factors/${waiting}/confirm`, { code: code.trim() })).token);
  endEnrolment();
  await showAll();
  element("make-codes").focus();
});
onClick(element("add-passkey"), element("factors-refusal"), async () => {
  const asked = await withStepUp(() => ask("POST", "/me/factors/passkeys/options"));
  const credential = await makePasskey(asked);
  raise((await ask("POST", "/me/factors/passkeys", { credential })).token);
  await showAll();
});

// --- recovery codes

onClick(element("make-codes"), element("codes-refusal"), async () => {
  const { codes } = await withStepUp(() => ask("POST", "/me/factors/recovery-codes"));
  element("codes-list").replaceChildren(...codes.map((code) => {
    const item = document.createElement("li");
    item.textContent = code;
    return item;
  }));
  element("codes").hidden = false;
  element("codes").querySelector("h3").focus();
  await showFactors();
});
element("print-codes").addEventListener("click", () => print());
element("hide-codes").addEventListener("click", () => {
  element("codes-list").replaceChildren();
  element("codes").hidden = true;
  element("make-codes").focus();
});

// --- password

onSubmit(element("change-password"), async ({ current_password, new_password }) => {
  const form = element("change-password");
  await ask("PUT", "/me/password", { current_password, new_password });
  form.reset();
  form.querySelector(".done").textContent = "Your password is changed; your other sessions have ended.";
  await showSessions();
});

// --- sessions

async function showSessions() {
  const { data } = await ask("GET", "/sessions");
  element("sessions").replaceChildren(...data.map(sessionEntry));
  element("end-others").hidden = data.length < 2;
}

// "Firefox on Windows", where it is a browser that is known; else what it calls itself.
function programOf(agent) {
  const first = (names) => names.find(([mark]) => agent.includes(mark))?.[1];
  const browser = first([["Edg/", "Edge"], ["OPR/", "Opera"], ["Firefox/", "Firefox"], ["Chrome/", "Chrome"], ["Safari/", "Safari"]]);
  const system = first([["Windows", "Windows"], ["Android", "Android"], ["iPhone", "iPhone"], ["iPad", "iPad"], ["Mac OS X", "macOS"], ["Linux", "Linux"]]);
  if (browser && system) return `${browser} on ${system}`;
  return agent || "A program without a name";
}

function sessionEntry(one) {
  const ways = [...new Set(one.methods.map((way) => WAYS[way]).filter(Boolean))].join(", ");
  const details = [
    `${one.current ? "This session, from" : "From"} ${one.address}${ways ? `, with ${ways}` : ""}`,
    `Since ${moment.format(new Date(one.created_at))}, last used ${moment.format(new Date(one.used_at))}`,
  ];
  const end = async () => {
    await ask("DELETE", `/sessions/${one.session_id}`);
    await showSessions();
  };
  return entry(programOf(one.user_agent), details, "End", element("sessions-refusal"), one.current ? null : end);
}

onClick(element("end-others"), element("sessions-refusal"), async () => {
  await ask("DELETE", "/sessions");
  await showSessions();
});
onClick(element("sign-out"), element("page-refusal"), async () => {
  await ask("DELETE", "/sessions/current");
  signInAgain();
});

// --- all of it

async function showWho() {
  const me = await ask("GET", "/me");
  const roles = me.roles.length ? ` (${me.roles.join(", ")})` : "";
  element("who").textContent = `You are signed in as ${me.name || me.id}${roles}.`;
  element("username").value = me.email || "";
}

async function shown(refusal, part) {
  try {
    await part();
  } catch (error) {
    tell(refusal, error);
  }
}

async function showAll() {
  await shown(element("page-refusal"), showWho);
  await shown(element("factors-refusal"), showFactors);
  await shown(element("sessions-refusal"), showSessions);
}

element("add-passkey").hidden = !passkeysWork();
showAll();
