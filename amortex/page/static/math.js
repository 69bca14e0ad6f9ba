// Transforms that run in the browser: Fourier, Morlet wavelets, Haar.

/** Magnitudes of the Fourier transform of a real signal, for frequencies 0 to half the length. */
export function fourier(signal) {
  const length = signal.length;
  const wave = Float64Array.from({ length }, (_, index) => Math.cos((2 * Math.PI * index) / length));
  const quarter = length / 4;
  return Float64Array.from({ length: Math.floor(length / 2) + 1 }, (_, frequency) => {
    let real = 0, imaginary = 0;
    for (let index = 0; index < length; index += 1) {
      const turn = (frequency * index) % length;
      real += signal[index] * wave[turn];
      imaginary += signal[index] * (Number.isInteger(quarter) ? wave[(turn + 3 * quarter) % length] : Math.sin((2 * Math.PI * turn) / length));
    }
    return Math.hypot(real, imaginary);
  });
}

const CYCLES = 6; // of a Morlet wavelet

/** Frequencies of a scalogram's rows, in cycles per sample, high ones first. */
export function scalogramFrequencies(length, rows = 56) {
  const [high, low] = [0.25, 2 / length];
  return Float64Array.from({ length: rows }, (_, row) => high * (low / high) ** (row / (rows - 1)));
}

/** The scalogram: how much a Morlet wavelet of each frequency at each time has in common with the signal. */
export function scalogram(signal, frequencies) {
  const length = signal.length;
  const values = new Float32Array(frequencies.length * length);
  frequencies.forEach((frequency, row) => {
    const scale = CYCLES / (2 * Math.PI * frequency);
    const reach = Math.min(length, Math.ceil(3 * scale));
    const real = new Float64Array(2 * reach + 1), imaginary = new Float64Array(2 * reach + 1);
    for (let offset = -reach; offset <= reach; offset += 1) {
      const envelope = Math.exp(-0.5 * (offset / scale) ** 2) / scale;
      real[offset + reach] = envelope * Math.cos(2 * Math.PI * frequency * offset);
      imaginary[offset + reach] = envelope * Math.sin(2 * Math.PI * frequency * offset);
    }
    for (let time = 0; time < length; time += 1) {
      let [x, y] = [0, 0];
      for (let index = Math.max(0, time - reach); index <= Math.min(length - 1, time + reach); index += 1) {
        x += signal[index] * real[index - time + reach];
        y += signal[index] * imaginary[index - time + reach];
      }
      values[row * length + time] = Math.hypot(x, y);
    }
  });
  return values;
}

/** The orthonormal 2-D Haar transform of a square picture, so many levels of it: low-pass top left. */
export function haar(picture, size, levels) {
  const values = Float64Array.from(picture);
  const line = new Float64Array(size);
  for (let level = 0, side = size; level < levels; level += 1, side /= 2) {
    for (const [step, across] of [[1, size], [size, 1]]) {
      for (let place = 0; place < side; place += 1) {
        const start = place * across;
        for (let pair = 0; pair < side / 2; pair += 1) {
          const [a, b] = [values[start + 2 * pair * step], values[start + (2 * pair + 1) * step]];
          line[pair] = (a + b) * Math.SQRT1_2;
          line[side / 2 + pair] = (a - b) * Math.SQRT1_2;
        }
        for (let index = 0; index < side; index += 1) values[start + index * step] = line[index];
      }
    }
  }
  return values;
}

export const countNonZero = (values) => values.reduce((count, value) => count + (Math.abs(value) > 1e-9), 0);
