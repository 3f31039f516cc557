// The label beside a picture: title, painter, size, how it was painted, what went wrong.

const LEAST = 1000; // milliseconds of painting before anything is said of the rest

const part = (id) => document.getElementById(id);

export class Label {
  constructor(controls) {
    this.controls = controls;
  }

  show(work) {
    const { finished } = work;
    put(part("title"), work.title);
    const hand = `in the manner of ${this.controls.titleOf(work.look)}`;
    put(part("byline"), work.state === "failed" && !work.shown ? "" : hand);
    put(part("size"), work.copied ? "" : size(work));
    put(part("manner"), finished ? manner(finished) : state(work));
    const failed = work.state === "failed";
    put(part("trouble"), failed ? sentence(work.note) : "");
    part("again").hidden = !failed && work.state !== "stopped";
    put(part("again"), failed ? "Try again" : "Paint it");
    // After a failure the painting before still hangs: it can be had, too.
    const kept = finished ?? (failed && !work.sketched ? work.done : null);
    const link = part("download");
    link.hidden = !kept;
    if (!kept) {
      link.removeAttribute("href");
      return;
    }
    if (link.getAttribute("href") !== kept.address) link.href = kept.address;
    link.download = kept.name;
  }

  zoom(zoomed, possible) {
    const button = part("zoom");
    button.hidden = !zoomed && !possible;
    button.setAttribute("aria-pressed", zoomed);
    put(button, zoomed ? "Show all of it" : "Zoom to 100%");
  }
}

/** Show how far a work is, on the line below the picture. */
export function pace(work) {
  const busy = work.state === "painting" || work.state === "waiting";
  part("strip").classList.toggle("idle", !busy);
  part("cancel").hidden = !busy;
  const bar = part("progress");
  if (work.part > 0) bar.value = work.part;
  else bar.removeAttribute("value");
  put(part("pace"), busy ? told(work) : "");
}

function told(work) {
  if (work.state === "waiting") return "Waiting for its turn";
  if (!work.part) return work.note || "Painting";
  const left = secondsLeft(work);
  const percent = `${Math.round(100 * work.part)}%`;
  return left > 1 ? `${percent}, about ${duration(left)} left` : percent;
}

/** By the rate up to the last word of it: between two words time passes and nothing is known. */
function secondsLeft({ part, from, last }) {
  const taken = last.time - from.time;
  if (taken < LEAST) return 0;
  const left = (taken * (1 - part)) / (part - from.part);
  return (left - (performance.now() - last.time)) / 1000;
}

function duration(seconds) {
  if (seconds < 90) return `${Math.ceil(seconds)} s`;
  return `${Math.round(seconds / 60)} min`;
}

function size({ width, height }) {
  if (!width) return "";
  const pixels = (width * height) / 1e6;
  const area = pixels >= 1 ? `, ${pixels.toFixed(pixels < 10 ? 1 : 0)} megapixels` : "";
  return `${width} × ${height}${area}`;
}

function manner({ look, seconds, shown }) {
  const words = [];
  if (look.brush !== 1) words.push(`brush ${Number(look.brush.toPrecision(2))} ×`);
  if (look.strength !== 1) words.push(`strength ${Math.round(100 * look.strength)}%`);
  if (look.colors === "photo") words.push("the photo’s colours");
  if (!shown) words.push("your browser cannot show it, only download it");
  words.push(`painted in ${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`);
  return words.join(", ");
}

function state(work) {
  if (work.state === "stopped") return "stopped";
  return work.sketched ? "a sketch, the painting follows" : "";
}

function sentence(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
