// Masks: drawn as the layout of their coefficients, and linked with places in the image.
import { bytesOf, colour, drawValues, magma } from "./dom.js";

const SIDE = 512;

/** A mask over the coefficients of an image: where each entry is drawn, and which pixels it reaches. */
export class Mask {
  constructor({ bands, values, taps, transform }, size) {
    this.values = bytesOf(values);
    Object.assign(this, { taps, transform, size });
    let start = 0;
    this.bands = bands.map(({ shape }, level) => {
      const [height, width] = shape.slice(-2);
      const band = { level, start, height, width, details: shape.length === 3 };
      start += shape.reduce((product, length) => product * length, 1);
      return band;
    });
    this.levels = this.bands.length - 1;
  }

  /** The entry at a place of the layout, both in [0, 1). */
  at(x, y) {
    let [across, down] = [x, y];
    for (let level = 1; level <= this.levels; level += 1) {
      const orientation = (across >= 0.5) + 2 * (down >= 0.5) - 1;
      const cell = [(2 * across) % 1, (2 * down) % 1];
      if (orientation >= 0) return this.entry(level, orientation, ...cell);
      [across, down] = cell;
    }
    return this.entry(0, 0, across, down);
  }

  entry(level, orientation, across, down) {
    const { start, height, width } = this.bands[level];
    const [row, column] = [Math.floor(down * height), Math.floor(across * width)];
    const index = start + (orientation * height + row) * width + column;
    return { level, orientation, row, column, value: this.values[index] / 255 };
  }

  step(level) {
    return this.taps ? 2 ** (level || this.levels) : 1;
  }

  /** First pixel and number of pixels that entry `n` of a level reaches, along one axis. */
  support(level, n) {
    const step = this.step(level);
    return [step * n + (2 - this.taps) * (step - 1), this.taps ? (this.taps - 1) * (step - 1) + 1 : 1];
  }

  /** First and last entry of a level that reach a pixel, along one axis. */
  reaching(level, pixel, count) {
    const step = this.step(level);
    const [first, width] = this.support(level, 0);
    const ends = [Math.ceil((pixel - first - width + 1) / step), Math.floor((pixel - first) / step)];
    return ends.map((end) => Math.min(count - 1, Math.max(0, end)));
  }

  /** The cell of a band in the layout: left, top and side, as shares. */
  cell(level, orientation) {
    const side = 0.5 ** (level || this.levels);
    if (!this.levels) return [0, 0, 1];
    return level ? [orientation === 1 ? 0 : side, orientation === 0 ? 0 : side, side] : [0, 0, side];
  }

  /** All rectangles of the layout that reach a pixel, and the mean of the mask over them, level by level. */
  over(x, y) {
    const boxes = [], means = [];
    const [across, down] = [Math.floor(x), Math.floor(y)];
    this.bands.forEach((band, level) => {
      const [left, right] = this.reaching(level, across, band.width);
      const [top, bottom] = this.reaching(level, down, band.height);
      let sum = 0, count = 0;
      for (let orientation = 0; orientation < (band.details ? 3 : 1); orientation += 1) {
        const [cellLeft, cellTop, side] = this.cell(level, orientation);
        boxes.push([cellLeft + (side * left) / band.width, cellTop + (side * top) / band.height,
          (side * (right - left + 1)) / band.width, (side * (bottom - top + 1)) / band.height]);
        for (let row = top; row <= bottom; row += 1) {
          for (let column = left; column <= right; column += 1) {
            sum += this.values[band.start + (orientation * band.height + row) * band.width + column];
            count += 1;
          }
        }
      }
      means.push(sum / count / 255);
    });
    return { boxes, means };
  }

  /** Draw the layout, with lines between the levels. */
  draw(canvas) {
    const pixels = new Float32Array(SIDE * SIDE);
    for (let row = 0; row < SIDE; row += 1) {
      for (let column = 0; column < SIDE; column += 1) {
        pixels[row * SIDE + column] = this.at((column + 0.5) / SIDE, (row + 0.5) / SIDE).value;
      }
    }
    drawValues(canvas, pixels, SIDE, SIDE, magma);
    const context = canvas.getContext("2d");
    context.strokeStyle = "rgb(255 255 255 / 60%)";
    for (let level = 1; level <= this.levels; level += 1) {
      const [middle, end] = [SIDE * 0.5 ** level, SIDE * 0.5 ** (level - 1)];
      context.beginPath();
      context.moveTo(middle, 0);
      context.lineTo(middle, end);
      context.moveTo(0, middle);
      context.lineTo(end, middle);
      context.stroke();
    }
  }
}

/** Draw rectangles, as shares of a canvas's sides, on it. */
export function outline(canvas, boxes) {
  const context = canvas.getContext("2d");
  const { width, height } = canvas;
  for (const [style, line] of [["white", 4], [colour("accent"), 2]]) {
    context.strokeStyle = style;
    context.lineWidth = (line * width) / 400;
    for (const [left, top, across, down] of boxes) {
      context.strokeRect(left * width, top * height, Math.max(2, across * width), Math.max(2, down * height));
    }
  }
}

/** Draw a mask over a sound, the share that is kept: time to the right, fine levels on top. */
export function drawBands(canvas, { bands, values }) {
  const bytes = bytesOf(values);
  const starts = bands.map((band, index) => (
    bands.slice(0, index).reduce((sum, { shape }) => sum + shape.reduce((product, length) => product * length, 1), 0)));
  const order = [...bands.keys()].slice(1).concat(0);
  const high = 12;
  const pixels = new Float32Array(SIDE * high * order.length);
  order.forEach((index, place) => {
    const length = bands[index].shape.at(-1);
    for (let column = 0; column < SIDE; column += 1) {
      const from = Math.floor((column * length) / SIDE);
      const to = Math.max(from + 1, Math.floor(((column + 1) * length) / SIDE));
      let sum = 0;
      for (let entry = from; entry < to; entry += 1) sum += bytes[starts[index] + entry];
      for (let row = 0; row < high; row += 1) pixels[(place * high + row) * SIDE + column] = sum / (to - from) / 255;
    }
  });
  drawValues(canvas, pixels, SIDE, high * order.length, magma);
}
