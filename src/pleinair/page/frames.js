// The row of small frames: every work with its state, to look at one or take it down.

const STATES = {
  waiting: "waits",
  painting: "is being painted",
  painted: "is painted",
  stopped: "was stopped",
  failed: "cannot be painted",
};

export class Frames {
  /** chosen, removed: called with a work. */
  constructor(chosen, removed) {
    this.list = document.getElementById("frames");
    this.chosen = chosen;
    this.removed = removed;
    this.items = new Map(); // work: { item, button, image, mark }
    this.list.addEventListener("keydown", (event) => this.#key(event));
  }

  show(works, selected) {
    for (const [work, { item }] of this.items) {
      if (works.includes(work)) continue;
      item.remove();
      this.items.delete(work);
    }
    for (const work of works) {
      if (!this.items.has(work)) this.#make(work);
      this.#fill(work, work === selected);
    }
  }

  focus(work) {
    this.items.get(work)?.button.focus();
  }

  #make(work) {
    const item = document.createElement("li");
    const button = document.createElement("button");
    const image = document.createElement("img");
    const mark = document.createElement("span");
    const remove = document.createElement("button");
    button.type = remove.type = "button";
    button.className = "frame";
    mark.className = "mark";
    image.alt = "";
    image.draggable = false;
    remove.className = "takedown";
    remove.setAttribute("aria-label", `Remove ${work.title}`);
    button.append(image, mark);
    item.append(button, remove);
    button.addEventListener("click", () => this.chosen(work));
    remove.addEventListener("click", () => this.removed(work));
    this.list.append(item);
    this.items.set(work, { item, button, image, mark });
  }

  #fill(work, selected) {
    const { button, image, mark, item } = this.items.get(work);
    if (work.thumbnail && image.getAttribute("src") !== work.thumbnail) image.src = work.thumbnail;
    if (!work.thumbnail) image.removeAttribute("src");
    image.hidden = !work.thumbnail;
    button.setAttribute("aria-label", `${work.title} ${STATES[work.state]}`);
    if (selected) button.setAttribute("aria-current", "true");
    else button.removeAttribute("aria-current");
    item.className = work.state;
    mark.style.setProperty("--part", work.state === "painting" ? work.part : 0);
  }

  #key(event) {
    const way = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!way || event.ctrlKey || event.altKey || event.metaKey) return;
    const buttons = [...this.list.querySelectorAll(".frame")];
    const next = buttons[buttons.indexOf(document.activeElement) + way];
    if (!next) return;
    event.preventDefault();
    next.focus();
    next.click();
  }
}
