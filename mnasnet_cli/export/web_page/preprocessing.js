// From pixels to the net's input, as the manifest's `preprocessing` says.

/** The part of a picture that the net sees, in px. */
export function cropWindow(width, height, options) {
  if (options.crop_fraction === null) return {x: 0, y: 0, width, height};
  const short = Math.min(width, height);
  const [across, down] = (options.stretch ? [width, height] : [short, short]).map((side) =>
    roundHalfToEven(Math.fround(Math.fround(options.crop_fraction) * side)));
  return {x: Math.floor((width - across) / 2), y: Math.floor((height - down) / 2), width: across, height: down};
}

/**
 * The net's input, Float32Array of S · S · 3, from the pixels of the window (RGBA, as ImageData holds them).
 * isJpeg: where the manifest has the fast decoding, a large JPEG is decoded at half or a quarter of its scale, which
 * averages 2 × 2 or 4 × 4 pixels.
 */
export function netInput(pixels, width, height, options, isJpeg) {
  let image = {values: rgb(pixels), width, height};
  const least = Math.min(width, height), size = options.image_size;
  if (isJpeg && options.decode === "fast" && !options.interpolation.startsWith("tf1") && least >= 2 * size) {
    image = averaged(image, least >= 4 * size ? 4 : 2);
  }
  const across = resampled(image.values, image.height, image.width, 3, weightsOf(image.width, options));
  const down = resampled(across, 1, image.height, size * 3, weightsOf(image.height, options));
  return down.map((value, at) => (value - options.mean[at % 3]) / options.deviation[at % 3]);
}

function roundHalfToEven(value) {
  const below = Math.floor(value);
  if (value - below !== 0.5) return Math.round(value);
  return below % 2 ? below + 1 : below;
}

function rgb(pixels) {
  const values = new Float32Array(pixels.length / 4 * 3);
  for (let from = 0, to = 0; from < pixels.length; from += 4) {
    for (let channel = 0; channel < 3; channel++) values[to++] = pixels[from + channel];
  }
  return values;
}

function averaged({values, width, height}, factor) {
  const [across, down] = [Math.floor(width / factor), Math.floor(height / factor)];
  const result = new Float32Array(across * down * 3);
  for (let y = 0; y < down * factor; y++) {
    for (let x = 0; x < across * factor; x++) {
      for (let channel = 0; channel < 3; channel++) {
        const to = (Math.floor(y / factor) * across + Math.floor(x / factor)) * 3 + channel;
        result[to] += values[(y * width + x) * 3 + channel] / (factor * factor);
      }
    }
  }
  return {values: result, width: across, height: down};
}

/** For each of S places: the first source place and the weights of it and of those that follow. */
function weightsOf(side, {image_size: size, interpolation, antialias}) {
  const scale = side / size;
  const isCubic = interpolation === "bicubic";
  const stretch = antialias && !interpolation.startsWith("tf1") ? Math.max(scale, 1) : 1;
  const kernel = isCubic ? cubic : (distance) => Math.max(0, 1 - distance);
  const radius = (isCubic ? 2 : 1) * stretch;
  return Array.from({length: size}, (_, place) => {
    // The center, where source place i has its own center at i + 0.5.
    const center = interpolation === "tf1-bilinear" ? Math.min(place * scale, side - 1) + 0.5 : (place + 0.5) * scale;
    const first = Math.max(0, Math.ceil(center - radius - 0.5));
    const last = Math.min(side - 1, Math.floor(center + radius - 0.5));
    const weights = [];
    for (let i = first; i <= last; i++) weights.push(kernel(Math.abs(i + 0.5 - center) / stretch));
    const sum = weights.reduce((total, weight) => total + weight, 0);
    return {first, weights: weights.map((weight) => weight / sum)};
  });
}

function cubic(distance) { // Keys, a = -0.5
  if (distance < 1) return (1.5 * distance - 2.5) * distance * distance + 1;
  if (distance < 2) return ((-0.5 * distance + 2.5) * distance - 4) * distance + 2;
  return 0;
}

/** Resamples the middle axis of [rows, side, step]. */
function resampled(values, rows, side, step, places) {
  const result = new Float32Array(rows * places.length * step);
  for (let row = 0; row < rows; row++) {
    places.forEach(({first, weights}, place) => {
      const to = (row * places.length + place) * step;
      weights.forEach((weight, index) => {
        const from = (row * side + first + index) * step;
        for (let item = 0; item < step; item++) result[to + item] += weight * values[from + item];
      });
    });
  }
  return result;
}
