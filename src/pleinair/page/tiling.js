/**
 * Plans of tiles: which parts of a picture to paint, and what to look at while painting each.
 * The same as `tiling.py`, which says why; the halo comes from there with each painter.
 */

const MOST = 256; // rows or columns of tiles that a plan may have

/**
 * A rectangle of pixels: rows top to bottom, columns left to right, ends excluded.
 */
export class Box {
  constructor(top, left, bottom, right) {
    this.top = top;
    this.left = left;
    this.bottom = bottom;
    this.right = right;
  }

  get height() {
    return this.bottom - this.top;
  }

  get width() {
    return this.right - this.left;
  }

  get area() {
    return this.height * this.width;
  }

  /** The same rectangle, counted from the corner of another. */
  within(other) {
    const { top, left } = other;
    return new Box(this.top - top, this.left - left, this.bottom - top, this.right - left);
  }
}

/**
 * Tiles that cover height x width pixels, each seeing at most `most` pixels where that can be.
 *
 * @param {number} around the halo; as height and width a multiple of stride
 * @returns {{out: Box, seen: Box}[]} row by row: what to paint, and what to show for it
 */
export function plan(height, width, around, stride, most) {
  const halos = 4 * around * around;
  let enough = 4 * Math.ceil((height * width) / Math.max(1, most - halos)) + 8;
  if (most <= halos) enough = MOST;
  const byRows = counts(height, stride, enough).map((n) => cuts(height, n, around, stride));
  const byColumns = counts(width, stride, enough).map((n) => cuts(width, n, around, stride));
  let best = null;
  for (const rows of byRows) {
    for (const columns of byColumns) {
      const largest = longest(rows) * longest(columns);
      const fits = largest <= most;
      const cost = fits ? looked(rows) * looked(columns) : largest;
      const better = best && (fits === best.fits ? cost < best.cost : fits);
      if (!best || better) best = { rows, columns, fits, cost };
    }
  }
  return best.rows.flatMap((y) =>
    best.columns.map((x) => ({
      out: new Box(y.start, x.start, y.end, x.end),
      seen: new Box(y.first, x.first, y.last, x.last),
    })),
  );
}

function counts(length, stride, enough) {
  const most = Math.min(MOST, enough, Math.floor(length / stride));
  return Array.from({ length: most }, (_, n) => n + 1);
}

/** What to paint (start to end) and what to see (first to last), along one side. */
function cuts(length, count, around, stride) {
  const steps = Math.floor(length / stride);
  const edges = Array.from(
    { length: count + 1 },
    (_, n) => Math.floor((n * steps) / count) * stride,
  );
  const spans = edges.slice(1).map((end, n) => ({ start: edges[n], end }));
  // All see as much: batches of one size use working memory over and over.
  const far = Math.max(
    ...spans.map((s) => Math.min(length, s.end + around) - Math.max(0, s.start - around)),
  );
  return spans.map(({ start, end }) => {
    const first = Math.max(0, Math.min(start - around, length - far));
    return { start, end, first, last: Math.min(length, first + far) };
  });
}

function longest(spans) {
  return Math.max(...spans.map((s) => s.last - s.first));
}

function looked(spans) {
  return spans.reduce((sum, s) => sum + s.last - s.first, 0);
}

/**
 * Squares of `side` pixels in rows and columns all over a picture, `most` pixels together.
 *
 * @returns {Box[][]} rows of boxes
 */
export function samples(height, width, most, side, stride) {
  const tall = Math.min(side, height);
  const wide = Math.min(side, width);
  const count = most / (tall * wide);
  let rows = Math.trunc(Math.sqrt((((count * height) / width) * wide) / tall));
  rows = Math.max(1, Math.min(rows, Math.floor(height / tall), Math.trunc(count)));
  const columns = Math.min(Math.floor(width / wide), Math.max(1, Math.trunc(count / rows)));
  return spread(height, tall, rows, stride).map((top) =>
    spread(width, wide, columns, stride).map((left) => new Box(top, left, top + tall, left + wide)),
  );
}

function spread(length, side, count, stride) {
  const free = Math.floor((length - side) / stride);
  if (count === 1) return [Math.floor(free / 2) * stride];
  return Array.from({ length: count }, (_, n) => Math.floor((n * free) / (count - 1)) * stride);
}
