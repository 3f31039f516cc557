// The page: photos come in, are painted by the engine that the page names, and hang on the wall.

import { Compare } from "./compare.js";
import { Controls } from "./controls.js";
import { Easel } from "./easel.js";
import { Frames } from "./frames.js";
import { listen } from "./intake.js";
import { Label, pace } from "./label.js";
import { saveAll } from "./saving.js";
import { Work } from "./work.js";

const part = (id) => document.getElementById(id);
const open = { works: [], selected: null };
let controls, easel, frames, compare, label;
let due = false; // whether a rendering is on its way

// A photo that is dropped before the engine is there must not take the page's place.
for (const kind of ["dragover", "drop"]) addEventListener(kind, (event) => event.preventDefault());
start();

async function start() {
  try {
    const { content } = document.querySelector('meta[name="pleinair-engine"]');
    const { open: opened } = await import(new URL(content, document.baseURI));
    build(await opened());
  } catch (error) {
    const again = document.createElement("button");
    again.type = "button";
    again.className = "plain";
    again.textContent = "Try again";
    again.addEventListener("click", () => location.reload());
    part("closed").replaceChildren(paragraph(error.message), again);
  }
  if (/mac/i.test(navigator.platform)) {
    for (const name of document.querySelectorAll(".ctrl")) name.textContent = "⌘";
  }
  document.documentElement.classList.add("ready");
}

function build(engine) {
  controls = new Controls(engine.painters, asked);
  easel = new Easel(engine, changed);
  frames = new Frames(select, remove);
  compare = new Compare((zoomed) => label?.zoom(zoomed, compare.zoomable));
  label = new Label(controls);
  part("privacy").textContent = part("promise").textContent = engine.privacy;
  part("painters").textContent = `in the manner of ${controls.titleOf(controls.look)}`;
  listen(engine.accept, add);
  part("cancel").addEventListener("click", cancel);
  part("again").addEventListener("click", () => easel.paint(open.selected, "full"));
  part("remove").addEventListener("click", () => remove(open.selected));
  part("zoom").addEventListener("click", () => compare.toggleZoom());
  part("alike").addEventListener("click", paintAlike);
  part("save-all").addEventListener("click", save);
  addEventListener("keydown", key);
}

function add(files) {
  const look = controls.look;
  for (const file of files) {
    const work = new Work(file, look);
    open.works.push(work);
    easel.add(work);
  }
  if (!files.length) return;
  say(files.length === 1 ? `${open.works.at(-1).title} hangs on the wall.` : `${files.length} photos hang on the wall.`);
  if (open.selected) return changed();
  select(open.works[0]);
  render();
  part("title").focus(); // what had it is hidden now
}

function select(work) {
  open.selected = work;
  if (work) {
    easel.look(work);
    controls.set(work.look);
  }
  changed();
}

function remove(work) {
  const index = open.works.indexOf(work);
  const focused = document.activeElement?.closest("#frames, .work");
  open.works.splice(index, 1);
  easel.remove(work);
  say(`${work.title} is taken down.`);
  const next = open.works[Math.min(index, open.works.length - 1)] ?? null;
  if (open.selected === work) select(next);
  render();
  if (!next) part("choose").focus();
  else if (focused && open.works.length > 1) frames.focus(next);
  else if (focused) part("title").focus(); // the row is hidden for one photo
}

function cancel() {
  easel.cancel(open.selected);
  controls.set(open.selected.look); // which may be that of the painting before
}

function asked(look, wanted) {
  const work = open.selected;
  if (!work) return;
  work.look = look;
  easel.paint(work, wanted);
}

function paintAlike() {
  const others = open.works.filter((work) => differs(work));
  for (const work of others) work.look = { ...open.selected.look };
  easel.queue(others);
}

function differs(work) {
  return JSON.stringify(work.look) !== JSON.stringify(open.selected.look);
}

async function save() {
  const ready = open.works.filter((work) => work.finished);
  part("save-all").disabled = true;
  try {
    const saved = await saveAll(ready);
    if (saved) say(`${saved} paintings are saved.`);
  } catch (error) {
    say(`The paintings could not all be saved: ${error.message}`);
  }
  part("save-all").disabled = false;
}

/** Keys of the picture, which nothing else has use for. */
function key(event) {
  if (event.ctrlKey || event.altKey || event.metaKey || !open.selected) return;
  if (event.key === "Escape") compare.leaveZoom();
  const { target } = event;
  if (target !== document.body && !target.closest(".work, #frames")) return;
  if (event.key === "b") compare.flip();
  if (event.key === "z") compare.toggleZoom();
}

const spoken = new WeakMap(); // work: the state that was told last

function changed(work) {
  if (work && spoken.get(work) !== work.state) {
    spoken.set(work, work.state);
    if (work.state === "painted" && work.finished) say(`${work.title} is painted.`);
    if (work.state === "painting" && !work.done) say(`${work.title} is being painted.`);
    if (work.state === "failed" && work !== open.selected) say(`${work.title}: ${work.note}`);
    if (work.state === "stopped") say(`${work.title} was stopped.`);
  }
  if (due) return;
  due = true;
  requestAnimationFrame(render);
}

function render() {
  due = false;
  const { works, selected } = open;
  part("welcome").hidden = works.length > 0;
  for (const id of ["room", "controls", "more", "more-camera"]) part(id).hidden = !works.length;
  part("rail").hidden = works.length < 2;
  document.body.classList.toggle("several", works.length > 1);
  document.body.classList.toggle("hung", works.length > 0);
  frames.show(works, selected);
  part("save-all").hidden = works.filter((work) => work.finished).length < 2;
  part("alike").hidden = !selected || !works.some(differs);
  if (!selected) return compare.clear();
  compare.show(selected);
  label.show(selected);
  pace(selected);
}

function say(text) {
  part("spoken").textContent = text;
}

function paragraph(text) {
  const made = document.createElement("p");
  made.textContent = text;
  return made;
}
