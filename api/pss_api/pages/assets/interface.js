// Asking the interface, and what it refuses.

export class Problem extends Error {
  constructor(status, document) {
    super(document.detail || "Something went wrong. Try again in a moment.");
    this.status = status;
    this.code = document.code || "";
    this.errors = document.errors || [];
  }
}

export async function call(method, path, body, headers = {}) {
  let answer;
  try {
    answer = await fetch(`/v1${path}`, {
      method,
      headers: body === undefined ? headers : { "Content-Type": "application/json", ...headers },
      body: body === undefined ? undefined : JSON.stringify(body),
      credentials: "same-origin", // for the cookie pss_position alone: none says who one is
      cache: "no-store",
      redirect: "error",
    });
  } catch {
    throw new Problem(0, { code: "not-reached", detail: "There is no connection. Try again." });
  }
  const text = await answer.text();
  let document = {};
  try {
    document = text ? JSON.parse(text) : {};
  } catch {
    // A proxy's own page, say: the status is all there is to go by.
  }
  if (!answer.ok) throw new Problem(answer.status, document);
  return document;
}
