// The picture on the wall: photo and painting over each other, a line between them, and 100%.

const OPENING = 33; // percent of a new painting that the photo covers
const KEYS = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -10, PageUp: 10 };
const SIDEWAYS = 6; // pixels that a finger goes before it moves the line
const PAN = 60; // pixels that an arrow key moves the picture at 100%

export class Compare {
  /** zoomed: called with whether the picture is shown at 100%. */
  constructor(zoomed) {
    const part = (id) => document.getElementById(id);
    [this.view, this.handle] = [part("view"), part("handle")];
    [this.photo, this.painting] = [part("photo"), part("painting")];
    this.told = zoomed;
    this.work = null;
    this.at = OPENING; // percent from the left: photo up to there, painting beyond
    this.zoom = false;
    this.pan = { x: 0, y: 0 };
    this.#listen();
  }

  show(work) {
    if (work !== this.work) this.#zoomTo(false);
    const fresh = work !== this.work;
    const first = !fresh && work.shown && !this.painting.hasAttribute("src");
    this.work = work;
    this.#put(this.photo, work.photo, `Photo: ${work.title}`);
    this.#put(this.painting, work.shown, `Painting of ${work.title}`);
    const { style } = this.view;
    style.setProperty("--ratio", work.width && work.height ? work.width / work.height : 4 / 3);
    style.setProperty("--natural", `${Math.max(work.width || 480, 320)}px`);
    this.view.classList.toggle("bare", !work.photo && !work.shown);
    this.view.classList.toggle("still", fresh);
    this.handle.hidden = !this.comparable;
    if (first && this.comparable) this.at = OPENING;
    this.#place();
    this.told(this.zoom);
  }

  /** Hold nothing of the last work. */
  clear() {
    if (this.zoom) this.#zoomTo(false);
    this.work = null;
    for (const image of [this.photo, this.painting]) image.removeAttribute("src");
  }

  get comparable() {
    return Boolean(this.work?.photo && this.work.shown);
  }

  leaveZoom() {
    if (this.zoom) this.#zoomTo(false);
  }

  /** Whether the picture has more pixels than the wall shows of it. */
  get zoomable() {
    const dots = this.view.clientWidth * devicePixelRatio;
    return Boolean(this.work?.shown) && this.work.width > dots * 1.05;
  }

  /** All photo, or all painting. */
  flip() {
    if (this.comparable) this.#move(this.at >= 99 ? 0 : 100);
  }

  toggleZoom() {
    if (this.zoom || this.zoomable) this.#zoomTo(!this.zoom);
  }

  #put(image, address, text) {
    if (!address) image.removeAttribute("src");
    else if (image.getAttribute("src") !== address) image.src = address;
    image.alt = address ? text : "";
    image.hidden = !address;
  }

  #move(at) {
    this.at = Math.min(100, Math.max(0, at));
    this.#place();
  }

  /** Put line and picture where they belong. */
  #place() {
    let at = this.at;
    if (!this.work?.shown) at = 100;
    else if (!this.work.photo) at = 0;
    const whole = Math.round(at);
    this.view.style.setProperty("--at", `${at}%`);
    this.handle.setAttribute("aria-valuenow", whole);
    this.handle.setAttribute("aria-valuetext", `${whole}% photo, ${100 - whole}% painting`);
    const { x, y } = this.pan;
    this.view.style.setProperty("--move", this.zoom ? `${x}px ${y}px` : "0 0");
  }

  #zoomTo(zoom) {
    this.zoom = zoom;
    const { view, work } = this;
    view.classList.toggle("zoomed", zoom);
    if (zoom) {
      [this.wide, this.high] = [work.width, work.height].map((side) => side / devicePixelRatio);
      view.style.setProperty("--wide", `${this.wide}px`);
      view.style.setProperty("--high", `${this.high}px`);
      view.tabIndex = 0;
      view.setAttribute("role", "group");
      view.setAttribute("aria-label", "Picture at 100%; arrow keys move it");
      this.#panTo((view.clientWidth - this.wide) / 2, (view.clientHeight - this.high) / 2);
    } else {
      for (const name of ["tabindex", "role", "aria-label"]) view.removeAttribute(name);
      this.#place();
    }
    this.told(zoom);
  }

  #panTo(x, y) {
    const within = (value, room, size) => Math.min(0, Math.max(room - size, value));
    this.pan.x = Math.round(within(x, this.view.clientWidth, this.wide));
    this.pan.y = Math.round(within(y, this.view.clientHeight, this.high));
    this.#place();
  }

  #listen() {
    const { view, handle } = this;
    handle.addEventListener("keydown", (event) => this.#key(event));
    view.addEventListener("keydown", (event) => event.target === view && this.#panKey(event));
    view.addEventListener("dblclick", () => this.flip());
    view.addEventListener("pointerdown", (event) => this.#grab(event));
    const wheel = (event) => {
      if (!this.zoom || event.ctrlKey) return;
      event.preventDefault();
      this.#panTo(this.pan.x - event.deltaX, this.pan.y - event.deltaY);
    };
    view.addEventListener("wheel", wheel, { passive: false });
    new ResizeObserver(() => {
      if (this.zoom) this.#panTo(this.pan.x, this.pan.y);
      if (this.work) this.told(this.zoom);
    }).observe(view);
  }

  #key(event) {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    let at = this.at;
    if (event.key === "Home") at = 0;
    else if (event.key === "End") at = 100;
    else if (!KEYS[event.key]) return;
    else at = Math.round(at) + KEYS[event.key] * (event.shiftKey && event.key.startsWith("A") ? 10 : 1);
    event.preventDefault();
    this.#move(at);
  }

  #panKey(event) {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const way = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    const [across, down] = way[event.key] ?? [0, 0];
    if (!across && !down) return;
    event.preventDefault();
    this.#panTo(this.pan.x + across * PAN, this.pan.y + down * PAN);
  }

  /** A pointer went down: it drags the line, or at 100% the picture. */
  #grab(event) {
    const onLine = event.target === this.handle;
    if (event.button || !event.isPrimary || !(this.zoom || this.comparable)) return;
    const panning = this.zoom && !onLine;
    const box = this.view.getBoundingClientRect();
    const from = { x: event.clientX - this.pan.x, y: event.clientY - this.pan.y };
    // A finger may be about to scroll the page: it moves the line once it goes sideways.
    let begun = panning || event.pointerType !== "touch";
    const drag = (to) => {
      const [across, down] = [to.clientX - event.clientX, to.clientY - event.clientY].map(Math.abs);
      begun ||= across > SIDEWAYS && across > down;
      if (!begun) return;
      if (panning) this.#panTo(to.clientX - from.x, to.clientY - from.y);
      else this.#move((100 * (to.clientX - box.left)) / box.width);
    };
    this.view.classList.add("held");
    this.view.setPointerCapture(event.pointerId);
    if (begun && !panning) drag(event);
    const held = new AbortController();
    const { signal } = held;
    const end = () => {
      this.view.classList.remove("held");
      held.abort();
    };
    this.view.addEventListener("pointermove", drag, { signal });
    for (const kind of ["pointerup", "pointercancel"]) {
      this.view.addEventListener(kind, end, { signal });
    }
  }
}
