/**
 * Painters in ONNX Runtime Web: the only module that knows it. As `runtime.py`, whose words for the
 * two modes of a painter's file hold here too.
 */

import { withInitializers } from "./onnxfile.js";
import { PAINT, SITE } from "./settings.js";

/**
 * A file of the site, unpacked where it is compressed.
 *
 * @param {string} path relative to the page
 * @param {(part: number) => void} told hears the part that is here
 * @returns {Promise<Uint8Array>}
 */
export async function content(path, told = () => {}) {
  const refused = new Error(
    "A part of this site cannot be loaded; check the connection and load the page again.",
  );
  try {
    const answer = await fetch(new URL(path, import.meta.url));
    if (!answer.ok) throw refused;
    const size = SITE.sizes[path];
    let done = 0;
    const counting = new TransformStream({
      transform(part, controller) {
        done += part.length;
        told(size ? Math.min(1, done / size) : 0);
        controller.enqueue(part);
      },
    });
    const bytes = await new Response(answer.body.pipeThrough(counting)).arrayBuffer();
    return await unpacked(new Uint8Array(bytes));
  } catch (error) {
    throw error instanceof TypeError ? refused : error; // how fetch tells of a broken connection
  }
}

/** Some hosts unpack what they send: so it is looked at, not believed by its name. */
async function unpacked(bytes) {
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return bytes;
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** Threads for WebAssembly; 1 where the page is not isolated. */
export function threads() {
  if (!globalThis.crossOriginIsolated) return 1;
  return Math.max(1, Math.min(navigator.hardwareConcurrency || 1, SITE.most_threads));
}

/** ONNX Runtime Web of a kind of SITE.runtimes. */
async function library(kind, told) {
  const { module, glue, binary } = SITE.runtimes[kind];
  const [ort, wasm] = await Promise.all([
    import(new URL(module, import.meta.url)),
    content(binary, told),
  ]);
  ort.env.logLevel = "error"; // errors arrive as exceptions; the library itself is quiet
  ort.env.wasm.numThreads = threads();
  ort.env.wasm.wasmPaths = { mjs: new URL(glue, import.meta.url).href };
  ort.env.wasm.wasmBinary = wasm.buffer;
  return ort;
}

/** Whether there is a GPU that a browser without a fallback offers. */
async function hasGpu() {
  // Only this way of waiting for a GPU has a build that is small.
  if (!("Suspending" in WebAssembly) || !navigator.gpu) return false;
  try {
    const adapter = await navigator.gpu.requestAdapter();
    const info = adapter?.info ?? {};
    return Boolean(adapter) && !(info.isFallbackAdapter ?? adapter.isFallbackAdapter);
  } catch {
    return false;
  }
}

/**
 * ONNX Runtime Web as this browser can use it, loaded once.
 *
 * @returns {Promise<{ort: object, kind: "gpu"|"cpu"}>}
 */
export async function start(told) {
  if (await hasGpu()) {
    try {
      return { ort: await library("gpu", told), kind: "gpu" };
    } catch {
      // The other one may be kept here, where this one is not.
    }
  }
  return { ort: await library("cpu", told), kind: "cpu" };
}

/** One session: a network with or without given statistics. */
class Network {
  constructor(ort, session) {
    this.ort = ort;
    this.session = session;
  }

  /** {height, width, data} in [-1, 1] to the same. */
  async paint({ height, width, data }) {
    return { height, width, data: await this.run("painting", height, width, data) };
  }

  async run(output, height, width, data) {
    const photo = new this.ort.Tensor("float32", data, [1, 3, height, width]);
    const [input] = this.session.inputNames;
    const name = output === "painting" ? this.session.outputNames[0] : output;
    const found = (await this.session.run({ [input]: photo }, [name]))[name];
    const values = await found.getData();
    found.dispose();
    photo.dispose();
    return values;
  }

  release() {
    return this.session.release();
  }
}

/** A painter that `pleinair export` wrote. */
export class TwoModes extends Network {
  constructor(ort, session, data, device) {
    super(ort, session);
    this.data = data;
    this.device = device;
    this.kept = new Map(); // sessions by their statistics, the latest last
  }

  /** Means and variances of every norm's channels on one picture, as Float32Array. */
  measure({ height, width, data }) {
    return this.run("statistics", height, width, data);
  }

  /** The network with these statistics; the latest few are kept. */
  async fixed(statistics) {
    const key = statistics.join();
    let network = this.kept.get(key);
    if (!network) {
      const values = { fixed: Uint8Array.of(1), given_statistics: statistics };
      const session = await compiled(this.ort, withInitializers(this.data, values), this.device);
      network = new Network(this.ort, session);
    }
    this.kept.delete(key);
    this.kept.set(key, network);
    if (this.kept.size > SITE.sessions_kept) {
      const [oldest, gone] = this.kept.entries().next().value;
      this.kept.delete(oldest);
      await gone.release();
    }
    return network;
  }
}

function compiled(ort, data, device) {
  return ort.InferenceSession.create(data, {
    executionProviders: [device],
    enableMemPattern: false, // it would hold a second copy of it all
    logSeverityLevel: 4,
  });
}

/**
 * A painter on the fastest device, of those that paint as the processor does.
 *
 * @param {{ort: object, kind: string}} runtime
 * @param {Uint8Array} data of an ONNX file
 */
export async function load({ ort, kind }, data) {
  const session = await compiled(ort, data, "wasm");
  const processor = new TwoModes(ort, session, data, "wasm");
  await warmed(processor);
  if (kind !== "gpu") return processor;
  let other;
  try {
    other = new TwoModes(ort, await compiled(ort, data, "webgpu"), data, "webgpu");
    if (await paintsFaster(other, processor)) {
      await processor.release();
      return other;
    }
  } catch {
    // A device that is offered and does not work is passed over.
  }
  await other?.release().catch(() => {});
  return processor;
}

/** Browsers translate code again, and better, once it has run for a while: before anybody waits. */
async function warmed(network) {
  const side = PAINT.trial_side / 2;
  const data = new Float32Array(3 * side * side);
  for (let n = 0; n < PAINT.trial_runs; n++)
    await network.paint({ height: side, width: side, data });
}

/** Whether one paints a trial picture as the other does, in either mode, and sooner. */
async function paintsFaster(one, other) {
  const side = PAINT.trial_side;
  const data = Float32Array.from(
    { length: 3 * side * side },
    (_, n) => Math.sin(n * 12.9898) * Math.cos(n / 97),
  );
  const trial = { height: side, width: side, data };
  const [expected, slow] = await timed(other, trial);
  const [found, fast] = await timed(one, trial);
  if (!agree(expected, found) || fast >= slow) return false;
  const statistics = await other.measure(trial);
  return agree(expected, (await (await one.fixed(statistics)).paint(trial)).data);
}

async function timed(network, trial) {
  let { data } = await network.paint(trial); // the first run prepares
  let least = Infinity;
  for (let n = 0; n < PAINT.trial_runs; n++) {
    const start = performance.now();
    ({ data } = await network.paint(trial));
    least = Math.min(least, performance.now() - start);
  }
  return [data, least];
}

function agree(expected, found) {
  return expected.every((value, n) => Math.abs(value - found[n]) <= PAINT.trial_tolerance);
}
