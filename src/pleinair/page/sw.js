/**
 * Keeps one version of the site, whole: every file is known by its SHA-256.
 *
 * The first version is there at once with what is small, and keeps what is large as it passes. A
 * later one is fetched as a whole beside it, and takes over at the next visit; so there is never a
 * mix. What it answers carries the headers that threads need.
 */

const SITE = null; // filled in by `pleinair site`: version, headers, files

const PREFIX = `pleinair ${new URL(self.registration.scope).pathname} `;
const coming = new Map(); // files on their way

self.addEventListener("install", (event) => event.waitUntil(SITE ? install() : self.skipWaiting()));
self.addEventListener("activate", (event) => event.waitUntil(SITE ? activate() : leave()));

self.addEventListener("fetch", (event) => {
  const url = new URL(event.request.url);
  const scope = new URL(self.registration.scope);
  if (!SITE || event.request.method !== "GET" || url.origin !== scope.origin) return;
  if (!url.pathname.startsWith(scope.pathname)) return;
  const path = decodeURI(url.pathname.slice(scope.pathname.length)) || "index.html";
  if (SITE.files[path]) event.respondWith(answer(path));
});

self.addEventListener("message", (event) => {
  if (event.data.kind === "keep") {
    const [port] = event.ports;
    const done = keep(wanted([event.data.runtime]));
    event.waitUntil(
      done.then(
        () => port.postMessage(true),
        () => port.postMessage(false),
      ),
    );
  } else if (event.data.kind === "take over") {
    event.waitUntil(takeOver());
  }
});

async function install() {
  if (!self.registration.active) {
    await keep(wanted([]).filter((path) => SITE.files[path].small));
    await self.skipWaiting();
    return;
  }
  // Whatever the version before held: without a network nothing may be missing afterwards.
  const runtimes = [];
  for (const name of await names()) {
    for (const request of await (await caches.open(name)).keys()) {
      runtimes.push(SITE.files[pathOf(request.url)]?.runtime);
    }
  }
  await keep(wanted(runtimes));
}

async function activate() {
  const all = await names();
  await Promise.all(
    all.filter((name) => name !== PREFIX + SITE.version).map((name) => caches.delete(name)),
  );
  await self.clients.claim();
}

/** A server stands where a static site was before: nothing of that is to be seen any more. */
async function leave() {
  await Promise.all((await names()).map((name) => caches.delete(name)));
  await self.registration.unregister();
  for (const window of await self.clients.matchAll({ type: "window" }))
    await window.navigate(window.url);
}

/** Does so where one window alone shows the site: others would mix two versions. */
async function takeOver() {
  const windows = await self.clients.matchAll({ type: "window", includeUncontrolled: true });
  const ours = windows.filter(({ url }) => url.startsWith(self.registration.scope));
  if (ours.length <= 1) await self.skipWaiting();
}

async function names() {
  return (await caches.keys()).filter((name) => name.startsWith(PREFIX));
}

function pathOf(url) {
  return decodeURI(new URL(url).pathname.slice(new URL(self.registration.scope).pathname.length));
}

/** Files of every browser, and those of these runtimes. */
function wanted(runtimes) {
  return Object.keys(SITE.files).filter((path) => {
    const { runtime } = SITE.files[path];
    return !runtime || runtimes.includes(runtime);
  });
}

async function keep(paths) {
  for (const path of paths) await kept(path);
}

async function answer(path) {
  try {
    return await kept(path);
  } catch (error) {
    return new Response(error.message, { status: 503, headers: SITE.headers });
  }
}

/** The file as this version has it: kept, or fetched and kept. */
async function kept(path) {
  const cache = await caches.open(PREFIX + SITE.version);
  const key = new URL(path, self.registration.scope);
  const found = await cache.match(key);
  if (found) return found;
  if (!coming.has(path)) {
    const whole = fetched(path)
      .then((bytes) => cache.put(key, response(path, bytes)))
      .finally(() => coming.delete(path));
    coming.set(path, whole);
  }
  await coming.get(path);
  return cache.match(key);
}

async function fetched(path) {
  const { sha256 } = SITE.files[path];
  for (const name of await names()) {
    const found = await (await caches.open(name)).match(new URL(path, self.registration.scope));
    if (found?.headers.get("Pleinair-SHA256") === sha256[0]) return found.arrayBuffer();
  }
  // index.html is asked for as the folder: some hosts answer its name by sending elsewhere.
  const url = new URL(path === "index.html" ? "./" : path, self.registration.scope);
  for (const cache of ["default", "reload"]) {
    const got = await fetch(url, { cache });
    const bytes = await got.arrayBuffer();
    // Some hosts unpack what they send, so there may be a second right answer.
    if (got.ok && sha256.includes(await digest(bytes))) return bytes;
  }
  await self.registration.update().catch(() => {});
  throw new Error(`${path} is of another version; load the page again.`);
}

async function digest(bytes) {
  const found = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return [...found].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

function response(path, bytes) {
  const { type, sha256 } = SITE.files[path];
  return new Response(bytes, {
    headers: { ...SITE.headers, "Content-Type": type, "Pleinair-SHA256": sha256[0] },
  });
}
