// What the browser is asked for; offered only where the tenant's passkeys work.

export function passkeysWork() {
  const origins = (document.body.dataset.passkeyOrigins || "").split(" ");
  return origins.includes(location.origin) && typeof window.PublicKeyCredential?.parseRequestOptionsFromJSON === "function";
}

export async function provePasskey(asked) {
  const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(asked.public_key);
  return (await navigator.credentials.get({ publicKey })).toJSON();
}

export async function makePasskey(asked) {
  const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(asked.public_key);
  return (await navigator.credentials.create({ publicKey })).toJSON();
}
