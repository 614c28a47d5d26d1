// Forms that send nothing by themselves, and tell what is wrong beside the field it is about.
import { Problem } from "./interface.js";

export const element = (id) => document.getElementById(id);

// Shows one section of the page, and tells people who listen to it that it has changed.
export function show(id) {
  for (const section of document.querySelectorAll("main > section")) section.hidden = section.id !== id;
  element(id).querySelector("h1[tabindex]")?.focus();
}

export function onSubmit(form, action) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    clear(form);
    const wrong = [...form.elements].filter((one) => one.willValidate && !one.validity.valid);
    if (wrong.length) {
      wrong.forEach((one) => mark(one, one.validationMessage));
      wrong[0].focus();
      return;
    }
    await busy(form.querySelector("[type=submit]"), form.querySelector(".refusal"), async () => {
      try {
        await action(Object.fromEntries(new FormData(form)));
      } catch (error) {
        if (!told(form, error)) throw error;
      }
    });
  });
}

export function onClick(button, refusal, action) {
  button.addEventListener("click", () => busy(button, refusal, action));
}

// Runs the action once at a time; what it refuses is told in `refusal`.
async function busy(button, refusal, action) {
  if (button.getAttribute("aria-busy") === "true") return;
  button.setAttribute("aria-busy", "true"); // not disabled: that would lose the focus
  refusal.textContent = "";
  try {
    await action();
  } catch (error) {
    tell(refusal, error);
  } finally {
    button.removeAttribute("aria-busy");
  }
}

export function tell(refusal, error) {
  if (error?.name === "NotAllowedError" || error?.name === "AbortError") {
    refusal.textContent = "No passkey was used.";
  } else if (error instanceof Problem) {
    refusal.textContent = error.message;
  } else {
    refusal.textContent = "Something went wrong. Load the page again.";
    console.error(error);
  }
}

function told(form, error) {
  let first = null;
  for (const { pointer, detail } of error?.errors ?? []) {
    const input = form.elements.namedItem(pointer.slice(1));
    if (!(input instanceof HTMLInputElement)) continue;
    mark(input, detail);
    first ??= input;
  }
  first?.focus();
  return first !== null;
}

function mark(input, text) {
  input.setAttribute("aria-invalid", "true");
  element(`${input.id}-error`).textContent = text;
}

function clear(form) {
  for (const input of form.querySelectorAll("[aria-invalid]")) input.removeAttribute("aria-invalid");
  for (const line of form.querySelectorAll(".error, .refusal, .done")) line.textContent = "";
}

for (const box of document.querySelectorAll("[data-shows]")) {
  box.addEventListener("change", () => {
    element(box.dataset.shows).type = box.checked ? "text" : "password";
  });
}
