// All paintings to files: into a folder where the browser can, else as downloads.

const BETWEEN = 400; // milliseconds between two downloads, which browsers take for too many else

/** Save finished works. Returns how many were saved; 0 where the person chose no folder. */
export async function saveAll(works) {
  const names = new Set();
  const files = works.map((work) => ({ ...work.finished, name: free(work.finished.name, names) }));
  if (!window.showDirectoryPicker) return await asDownloads(files);
  let folder;
  try {
    folder = await showDirectoryPicker({ id: "paintings", mode: "readwrite" });
  } catch (error) {
    if (error.name === "AbortError") return 0;
    return await asDownloads(files);
  }
  for (const { blob, name } of files) {
    const file = await folder.getFileHandle(await unused(folder, name), { create: true });
    const stream = await file.createWritable();
    await stream.write(blob);
    await stream.close();
  }
  return files.length;
}

async function asDownloads(files) {
  for (const [index, { blob, name }] of files.entries()) {
    if (index) await new Promise((done) => setTimeout(done, BETWEEN));
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000); // it may ask where to save first
  }
  return files.length;
}

/** The name, or the first of "name (2)" and so on that is not among `names`, to which it goes. */
function free(name, names) {
  let one = name;
  for (let number = 2; names.has(one.toLowerCase()); number += 1) one = numbered(name, number);
  names.add(one.toLowerCase());
  return one;
}

/** A name that no file in the folder has: nothing is overwritten. */
async function unused(folder, name) {
  for (let number = 1; ; number += 1) {
    const one = number === 1 ? name : numbered(name, number);
    try {
      await folder.getFileHandle(one);
    } catch (error) {
      if (error.name === "NotFoundError") return one;
      if (error.name !== "TypeMismatchError") throw error;
    }
  }
}

function numbered(name, number) {
  const dot = name.lastIndexOf(".");
  const stem = dot > 0 ? name.slice(0, dot) : name;
  return `${stem} (${number})${name.slice(stem.length)}`;
}
