// The ways in: drop, choose, paste, the camera of a phone.

const PICTURES = /\.(jpe?g|jfif|png|apng|webp|avif|gif|bmp|tiff?|hei[cf]|hif|p[gp]m)$/i;

/** Call `found` with the files of everything that comes in by the page's doors. */
export function listen(accept, found) {
  const part = (id) => document.getElementById(id);
  const [files, shot, veil] = [part("files"), part("shot"), part("veil")];
  files.accept = accept;
  for (const [input, doors] of [
    [files, ["choose", "more"]],
    [shot, ["camera", "more-camera"]],
  ]) {
    for (const door of doors) {
      part(door).disabled = false;
      part(door).addEventListener("click", () => input.click());
    }
    input.addEventListener("change", () => {
      found([...input.files]);
      input.value = ""; // so that the same photo can be chosen again
    });
  }
  addEventListener("paste", (event) => {
    const pasted = [...(event.clipboardData?.files ?? [])];
    if (pasted.length) found(pasted);
  });
  const brings = (event) => event.dataTransfer?.types.includes("Files");
  let inside = 0; // elements that the drag has entered and not left
  const cover = (change) => {
    inside = change ? Math.max(0, inside + change) : 0;
    veil.hidden = !inside;
  };
  addEventListener("dragenter", (event) => brings(event) && cover(1));
  addEventListener("dragleave", (event) => brings(event) && cover(-1));
  addEventListener("dragover", (event) => {
    if (!brings(event)) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = "copy";
  });
  addEventListener("drop", async (event) => {
    if (!brings(event)) return;
    event.preventDefault();
    cover(0);
    found(await dropped(event.dataTransfer));
  });
}

/** The files of a drop, and the pictures of the folders in it. */
async function dropped(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.());
  const plain = [...transfer.files]; // read before the first await, after which all is gone
  if (!entries.some((entry) => entry?.isDirectory)) return plain;
  const found = [];
  for (const entry of entries) if (entry) await walk(entry, found, false);
  return found;
}

async function walk(entry, found, pictures) {
  if (entry.isFile) {
    if (!pictures || PICTURES.test(entry.name)) {
      found.push(await new Promise((done, stop) => entry.file(done, stop)));
    }
    return;
  }
  const reader = entry.createReader();
  for (;;) {
    // A reader hands out a folder in pieces, and an empty one at its end.
    const some = await new Promise((done, stop) => reader.readEntries(done, stop));
    if (!some.length) return;
    for (const one of some) await walk(one, found, true);
  }
}
