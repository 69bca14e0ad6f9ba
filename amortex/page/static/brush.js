// A surface to paint on: with mouse, finger or keyboard.

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** A mask of `size` x `size` bytes (0 to 255), painted on a canvas. */
export class Painting {
  /**
   * @param canvas that shows it: has the keyboard's focus
   * @param size of the mask
   * @param render draws mask and brush: called after each change with this
   * @param onPaint called after each change of the mask
   */
  constructor(canvas, size, render, onPaint) {
    Object.assign(this, { canvas, size, render, onPaint });
    this.mask = new Uint8Array(size * size);
    this.radius = size / 12;
    this.erasing = false;
    this.brush = { x: size / 2, y: size / 2, shown: false };
    canvas.tabIndex = 0;
    canvas.addEventListener("pointerdown", (event) => this.press(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, () => this.release());
    canvas.addEventListener("pointerleave", () => { if (!this.painting) this.show(false); });
    canvas.addEventListener("keydown", (event) => this.key(event));
    canvas.addEventListener("focus", () => this.show(true));
    canvas.addEventListener("blur", () => this.show(false));
  }

  show(shown) {
    this.brush.shown = shown;
    this.render(this);
  }

  place(event) {
    const box = this.canvas.getBoundingClientRect();
    return [((event.clientX - box.left) / box.width) * this.size, ((event.clientY - box.top) / box.height) * this.size];
  }

  press(event) {
    if (event.button > 0) return;
    this.canvas.setPointerCapture(event.pointerId);
    this.painting = true;
    [this.brush.x, this.brush.y] = this.place(event);
    this.dab(this.brush.x, this.brush.y);
    this.changed();
  }

  move(event) {
    const [x, y] = this.place(event);
    if (this.painting) {
      const steps = Math.max(1, Math.ceil(Math.hypot(x - this.brush.x, y - this.brush.y) / (this.radius / 2)));
      for (let step = 1; step <= steps; step += 1) {
        this.dab(this.brush.x + ((x - this.brush.x) * step) / steps, this.brush.y + ((y - this.brush.y) * step) / steps);
      }
    }
    Object.assign(this.brush, { x, y, shown: true });
    if (this.painting) this.changed();
    else this.render(this);
  }

  release() {
    this.painting = false;
  }

  key(event) {
    const step = event.shiftKey ? this.size / 8 : this.size / 40;
    if (event.key in ARROWS) {
      const [right, down] = ARROWS[event.key];
      this.brush.x = Math.min(this.size - 1, Math.max(0, this.brush.x + right * step));
      this.brush.y = Math.min(this.size - 1, Math.max(0, this.brush.y + down * step));
      this.show(true);
    } else if (event.key === " ") {
      this.dab(this.brush.x, this.brush.y);
      this.changed();
    } else {
      return;
    }
    event.preventDefault();
  }

  dab(x, y) {
    const { size, radius, mask } = this;
    const value = this.erasing ? 0 : 255;
    for (let row = Math.max(0, Math.floor(y - radius)); row <= Math.min(size - 1, y + radius); row += 1) {
      for (let column = Math.max(0, Math.floor(x - radius)); column <= Math.min(size - 1, x + radius); column += 1) {
        if (Math.hypot(column + 0.5 - x, row + 0.5 - y) <= radius) mask[row * size + column] = value;
      }
    }
  }

  /** Change every entry. */
  fill(value) {
    for (let index = 0; index < this.mask.length; index += 1) this.mask[index] = value(this.mask[index]);
    this.changed();
  }

  changed() {
    this.render(this);
    this.onPaint();
  }
}
