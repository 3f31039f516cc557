// Paints on the server that this page came from, by its REST interface.

const FIRST_POLL = 250; // milliseconds between two questions for a painting, at first ...
const LAST_POLL = 1000; // ... and at most
const MOST_MISSED = 5; // questions in a row that may stay without an answer
const GRACE = 2000; // milliseconds in which a server may still say which job it has begun
const LONGEST_WAIT = 60; // seconds before a busy server is asked again
const KEY = "pleinair-key";
const GONE = "The server does not answer; see whether it still runs and try again.";

// A key that is written behind the address of a page that is open already.
addEventListener("hashchange", () => {
  const before = sessionStorage.getItem(KEY);
  if (takeKey() !== before) location.reload();
});

/** The engine that this server offers. Throws Error with a sentence where there is none. */
export async function open() {
  const server = new Server(takeKey());
  const painters = await server.json("v1/painters");
  const limits = await server.json("v1/limits");
  return {
    painters,
    limits: { bytes: limits.bytes, pixels: limits.pixels },
    accept: [limits.accept ?? "image/*"].flat().join(","),
    privacy: privacy(),
    paint: (photo, options, hooks) => paint(server, limits, photo, options, hooks),
    preview: (photo) => preview(server, limits, photo),
  };
}

/** The key after #key=, which is kept for this tab and taken out of the address. */
function takeKey() {
  const given = new URLSearchParams(location.hash.slice(1)).get("key");
  if (given) {
    sessionStorage.setItem(KEY, given);
    history.replaceState(null, "", location.pathname + location.search);
  }
  return sessionStorage.getItem(KEY);
}

function privacy() {
  const here = ["localhost", "127.0.0.1", "[::1]"].includes(location.hostname);
  return here
    ? "Photos are painted on this computer; they go nowhere else, and none is kept."
    : `Photos go to ${location.host}, which paints them and keeps none.`;
}

class Server {
  constructor(key) {
    this.headers = key ? { Authorization: `Bearer ${key}` } : {};
    this.jobs = new Set(); // that this page started and has not taken leave of
    addEventListener("pagehide", () => this.jobs.forEach((job) => this.forget(job)));
  }

  /** A response that is well, or 429. Throws Error with the server's sentence, or AbortError. */
  async ask(path, { headers = {}, ...options } = {}) {
    const address = new URL(path, document.baseURI);
    const asked = { cache: "no-store", ...options, headers: { ...this.headers, ...headers } };
    let response;
    try {
      response = await fetch(address, asked);
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw Object.assign(new Error(GONE), { gone: true });
    }
    if (response.ok || response.status === 429) return response;
    throw new Error(await sentence(response));
  }

  async json(path, options) {
    const response = await this.ask(path, options);
    if (!response.ok) throw new Error(await sentence(response));
    return response.json();
  }

  /** As `ask`, but a server that is busy is asked again when it says. */
  async insist(path, options, progress) {
    for (;;) {
      const response = await this.#asked(path, options);
      if (response.status !== 429) return response;
      const wait = Number(response.headers.get("Retry-After")) || 1;
      progress(0, "Waiting for a place");
      await pause(1000 * Math.min(Math.max(wait, 0.25), LONGEST_WAIT), options.signal);
    }
  }

  /** As `ask`, but a job that the server begins while the person turns away is cancelled there. */
  #asked(path, options) {
    const { signal, headers } = options;
    if (!headers?.Prefer) return this.ask(path, options);
    signal.throwIfAborted();
    const control = new AbortController();
    const asking = this.ask(path, { ...options, signal: control.signal });
    return new Promise((done, stop) => {
      const leave = async () => {
        stop(signal.reason);
        const timer = setTimeout(() => control.abort(), GRACE);
        try {
          const response = await asking;
          if (response.status === 202) this.forget((await response.json()).id);
          else control.abort();
        } catch {
          // Nothing was begun.
        }
        clearTimeout(timer);
      };
      signal.addEventListener("abort", leave, { once: true });
      asking.then(done, stop).finally(() => signal.removeEventListener("abort", leave));
    });
  }

  forget(job) {
    this.jobs.delete(job);
    this.ask(`v1/paintings/${job}`, { method: "DELETE", keepalive: true }).catch(() => {});
  }
}

async function sentence(response) {
  if (response.status === 401) {
    const why = sessionStorage.getItem(KEY) ? "The key is not this server’s" : "This server asks for a key";
    return `${why}; open the page by the address that ends in #key= and the key.`;
  }
  const said = await response.json().catch(() => ({}));
  if (typeof said.detail === "string") return said.detail;
  return `The server answered ${response.status}; try again, or with another photo.`;
}

function check(limits, photo) {
  if (photo.size === 0) throw new Error("This file is empty; choose another.");
  if (photo.size > limits.bytes) {
    const [has, may] = [photo.size, limits.bytes].map((n) => `${(n / 2 ** 20).toFixed(1)} MB`);
    throw new Error(`This file has ${has} and the server takes ${may}; make it smaller first.`);
  }
}

async function paint(server, limits, photo, options, { signal, progress }) {
  check(limits, photo);
  const name = options.name ?? photo.name ?? "photo";
  const small = options.side ? await shrunk(photo, options.side) : null;
  const form = new FormData();
  form.append("photo", small ?? photo, name);
  for (const field of ["painter", "brush", "strength", "colors"]) {
    if (options[field] !== undefined) form.append(field, options[field]);
  }
  if (options.side && !small) {
    form.append("side", options.side);
    form.append("format", "webp"); // a photo that this browser cannot decode, nor its painting
  }
  const headers = options.side ? {} : { Prefer: "respond-async" };
  const request = { method: "POST", body: form, headers, signal };
  const response = await server.insist("v1/paintings", request, progress);
  if (response.status !== 202) return finished(response, await response.blob(), {}, photo);
  return followed(server, (await response.json()).id, signal, progress, photo);
}

/** A job's painting, once it is done. Whatever happens, the server need not keep it. */
async function followed(server, job, signal, progress, photo) {
  server.jobs.add(job);
  try {
    let wait = FIRST_POLL;
    for (let missed = 0; ; ) {
      await pause(wait, signal);
      wait = Math.min(wait * 1.3, LAST_POLL);
      let state;
      try {
        const response = await server.ask(`v1/paintings/${job}`, { signal });
        if (response.status === 429) continue;
        state = await response.json();
        missed = 0;
      } catch (error) {
        missed += 1;
        if (!error.gone || missed > MOST_MISSED) throw error;
        continue;
      }
      if (state.state === "failed") throw new Error(state.error);
      if (state.state === "done") {
        const image = await server.insist(`v1/paintings/${job}/image`, { signal }, progress);
        return finished(image, await image.blob(), state, photo);
      }
      progress(state.progress, state.state === "waiting" ? place(state.ahead) : undefined);
    }
  } finally {
    server.forget(job);
  }
}

function place(ahead) {
  return ahead > 0 ? `Waiting for a place, ${ahead} before it` : "Waiting for a place";
}

function finished(response, blob, state, photo) {
  const number = (name) => Number(response.headers.get(`Pleinair-${name}`)) || undefined;
  return {
    blob,
    name: fileName(response.headers.get("Content-Disposition")) ?? state.name ?? photo.name,
    width: number("Width") ?? state.width,
    height: number("Height") ?? state.height,
    seconds: number("Seconds") ?? state.seconds ?? 0,
  };
}

/** The name in a Content-Disposition (RFC 6266): filename*, else filename. */
function fileName(header) {
  const extended = /filename\*\s*=\s*utf-8'[^']*'([^;\s]+)/i.exec(header ?? "");
  try {
    if (extended) return decodeURIComponent(extended[1]);
  } catch {
    // Wrongly encoded: the plain name serves.
  }
  return /filename\s*=\s*"?([^";]+)"?/i.exec(header ?? "")?.[1] ?? null;
}

const small = new WeakMap(); // photo: { side, blob }, so that a slider sends the same one again

/** The photo at this longest side, or null where this browser cannot decode it. */
async function shrunk(photo, side) {
  if (small.get(photo)?.side === side) return small.get(photo).blob;
  let whole;
  try {
    whole = await createImageBitmap(photo);
  } catch {
    return null;
  }
  const scale = Math.min(1, side / Math.max(whole.width, whole.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(whole.width * scale));
  canvas.height = Math.max(1, Math.round(whole.height * scale));
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(whole, 0, 0, canvas.width, canvas.height);
  whole.close();
  const kind = photo.type === "image/jpeg" ? "image/jpeg" : "image/png";
  const blob = await new Promise((done) => canvas.toBlob(done, kind, 0.95));
  if (blob) small.set(photo, { side, blob });
  return blob;
}

async function preview(server, limits, photo) {
  check(limits, photo);
  const body = new FormData();
  body.append("photo", photo, photo.name ?? "photo");
  const response = await server.insist("v1/previews", { method: "POST", body }, () => {});
  return response.blob();
}

function pause(milliseconds, signal) {
  return new Promise((done, stop) => {
    const end = () => {
      clearTimeout(timer);
      stop(new DOMException("stopped", "AbortError"));
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", end);
      done();
    }, milliseconds);
    if (signal?.aborted) end();
    else signal?.addEventListener("abort", end, { once: true });
  });
}
