/**
 * The service worker's other half: the site works without a network once it was loaded, and with
 * threads on hosts that cannot send the headers for them.
 */

const FLAG = "pleinair: loaded again"; // in sessionStorage, so that it happens once
const PATIENCE = 4000; // milliseconds for the service worker's first files

/** Registers it; loads the page again, once, where that gives threads or a new version. */
export async function ready() {
  const { serviceWorker } = navigator;
  if (!serviceWorker) return; // an insecure address, or a private window
  let registration;
  try {
    const script = new URL("./sw.js", import.meta.url);
    registration = await serviceWorker.register(script, { updateViaCache: "none" });
  } catch {
    return; // not allowed here: all works without it, but not without a network
  }
  const controlled = serviceWorker.controller !== null;
  if (controlled && registration.waiting) {
    // A new version is here as a whole: it takes over where no other window shows the old one.
    registration.waiting.postMessage({ kind: "take over" });
    if (await change(serviceWorker, 1000)) await again("version");
  }
  // Where it is active and not in control, the page was loaded past it on purpose.
  if (!controlled && !registration.active) await change(serviceWorker, PATIENCE);
  if (!globalThis.crossOriginIsolated && registration.active) await again("isolation");
}

/** Whether another service worker took control within so many milliseconds. */
function change(serviceWorker, patience) {
  return new Promise((resolve) => {
    serviceWorker.addEventListener("controllerchange", () => resolve(true), { once: true });
    setTimeout(() => resolve(false), patience);
  });
}

async function again(why) {
  try {
    if (sessionStorage.getItem(FLAG) === why) return;
    sessionStorage.setItem(FLAG, why);
  } catch {
    return; // nothing would end the loop
  }
  location.reload();
  await new Promise(() => {});
}

/**
 * Has the service worker keep all that was loaded and the rest.
 *
 * @param {string} runtime kind of ONNX Runtime Web in use
 * @returns {Promise<boolean>} whether the site works without a network now
 */
export async function keep(runtime) {
  try {
    sessionStorage.removeItem(FLAG); // a later version may load the page again
  } catch {
    // No storage: then no page was loaded again.
  }
  const worker = navigator.serviceWorker?.controller;
  if (!worker) return false;
  const { port1, port2 } = new MessageChannel();
  worker.postMessage({ kind: "keep", runtime }, [port2]);
  return new Promise((resolve) => (port1.onmessage = ({ data }) => resolve(data)));
}
