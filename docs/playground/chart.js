/**
 * A curve that grows, as SVG.
 *
 * @module
 */

const [WIDTH, HEIGHT, LEFT, BOTTOM] = [320, 120, 40, 16];

/** A chart of one number by step. */
export class Chart {
  #points = [];
  #svg;
  #latest;
  #unit;

  /**
   * @param parent Where to put it.
   * @param title Its title.
   * @param unit What follows the latest value.
   */
  constructor(parent, title, unit = "") {
    const figure = document.createElement("figure");
    figure.innerHTML = `<figcaption><span></span><b></b></figcaption>
      <svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img"></svg>`;
    figure.querySelector("span").textContent = title;
    this.#svg = figure.querySelector("svg");
    this.#svg.setAttribute("aria-label", title);
    this.#latest = figure.querySelector("b");
    this.#unit = unit;
    parent.append(figure);
    this.#draw();
  }

  /** Number of points. */
  get length() {
    return this.#points.length;
  }

  /** Adds a point. */
  add(value) {
    this.#points.push(value);
    this.#draw();
  }

  /** Forgets all points. */
  clear() {
    this.#points = [];
    this.#draw();
  }

  #draw() {
    const points = this.#points;
    const finite = points.filter(Number.isFinite);
    const top = Math.max(...finite, 1e-9);
    const low = Math.min(...finite, 0);
    const x = (i) => LEFT + (WIDTH - LEFT) * (points.length < 2 ? 0 : i / (points.length - 1));
    const y = (value) => 6 + (HEIGHT - BOTTOM - 6) * (1 - (value - low) / (top - low || 1));
    const line = points.flatMap((value, i) =>
      Number.isFinite(value) ? [`${x(i).toFixed(1)},${y(value).toFixed(1)}`] : []
    ).join(" ");
    this.#svg.innerHTML = points.length === 0 ? "" : `
      <line x1="${LEFT}" x2="${WIDTH}" y1="${y(top)}" y2="${y(top)}"></line>
      <line x1="${LEFT}" x2="${WIDTH}" y1="${y(low)}" y2="${y(low)}"></line>
      <text x="0" y="${y(top) + 4}">${short(top)}</text>
      <text x="0" y="${y(low) + 4}">${short(low)}</text>
      <text x="${LEFT}" y="${HEIGHT}">1</text>
      <text x="${WIDTH}" y="${HEIGHT}" text-anchor="end">${points.length}</text>
      <polyline points="${line}" vector-effect="non-scaling-stroke"></polyline>`;
    const last = points.at(-1);
    this.#latest.textContent = last === undefined ? "–" : short(last) + this.#unit;
  }
}

function short(value) {
  if (!Number.isFinite(value)) return String(value);
  return Math.abs(value) >= 100 ? value.toFixed(0) : value.toPrecision(3);
}
