// The tokens of whoever is signed in.
//
// They live in this module's memory: in no cookie, which a browser would send by itself, and in no
// address. So that another page of ours, or this one loaded again, goes on with the session, the
// refresh token lies in the tab's sessionStorage between the two, and only then: whoever duplicates
// the tab copies an empty store, for a refresh token that is used twice ends its session.
import { Problem, call } from "./interface.js";

const KEY = "pss.refresh-token";
let access = null;
let refresh = take();
let renewing = null;

function take() {
  const kept = sessionStorage.getItem(KEY);
  sessionStorage.removeItem(KEY);
  return kept;
}

addEventListener("pagehide", () => {
  if (refresh) sessionStorage.setItem(KEY, refresh);
});
addEventListener("pageshow", (event) => {
  // Brought back as it was, with a token that another page may have used since.
  if (event.persisted) location.reload();
});

export function begin(signedIn) {
  access = signedIn.access_token;
  refresh = signedIn.refresh_token;
}

// After a second factor: another access token of the same session.
export function raise(token) {
  access = token.access_token;
}

export function forget() {
  access = refresh = null;
  sessionStorage.removeItem(KEY);
}

export function signInAgain() {
  forget();
  location.replace("/account/sign-in");
}

export async function ask(method, path, body) {
  if (!access) await renew();
  try {
    return await call(method, path, body, { Authorization: `Bearer ${access}` });
  } catch (error) {
    if (error.status !== 401 || error.code !== "token-expired") throw over(error);
  }
  await renew();
  return call(method, path, body, { Authorization: `Bearer ${access}` });
}

function renew() {
  renewing ??= renewed().finally(() => { renewing = null; });
  return renewing;
}

async function renewed() {
  if (!refresh) throw over(new Problem(401, { code: "session-ended", detail: "Sign in again." }));
  // With a key of its own, so that an answer that was lost can be asked for again.
  const headers = { "Idempotency-Key": crypto.randomUUID?.() ?? random() };
  const body = { refresh_token: refresh };
  try {
    begin(await call("POST", "/sessions/refresh", body, headers).catch((error) => {
      if (error.status) throw error;
      return call("POST", "/sessions/refresh", body, headers);
    }));
  } catch (error) {
    throw over(error);
  }
}

const random = () => [...crypto.getRandomValues(new Uint8Array(16))].map((one) => one.toString(16).padStart(2, "0")).join("");

function over(error) {
  const ended = ["session-ended", "refresh-token-reused", "unknown-credentials"];
  if (error.status === 401 && ended.includes(error.code)) signInAgain();
  return error;
}
