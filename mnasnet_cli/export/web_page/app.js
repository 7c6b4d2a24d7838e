// Runs the net of this folder on pictures and on the camera. Nothing is sent anywhere.

import {cropWindow, netInput} from "./preprocessing.js";

const TOP = 5; // classes that are shown
const SCORE = 0.3; // boxes with lower scores are not shown
const LITERT = document.querySelector("script[data-litert]").dataset.litert;
const element = (id) => document.getElementById(id);
const manifest = await (await fetch("./manifest.json")).json();
let litert, model, stream;

/** The classes ({label, name, probability}), or the boxes ({label, name, score, box in px}), of a canvas's picture. */
async function predict(canvas, isJpeg = false) {
  const options = manifest.preprocessing, size = options.image_size;
  const window = cropWindow(canvas.width, canvas.height, options);
  const pixels = canvas.getContext("2d", {willReadFrequently: true})
    .getImageData(window.x, window.y, window.width, window.height).data;
  const input = new litert.Tensor(netInput(pixels, window.width, window.height, options, isJpeg), [1, size, size, 3]);
  const outputs = await model.run({tensors: input});
  const values = {};
  for (const [name, tensor] of Object.entries(outputs)) {
    values[name] = Array.from(await tensor.data());
    tensor.delete();
  }
  input.delete();
  return manifest.kind === "classifier" ? classes(values.logits) : boxes(values, canvas);
}

function classes(logits) {
  const largest = Math.max(...logits);
  const powers = logits.map((logit) => Math.exp(logit - largest));
  const sum = powers.reduce((total, power) => total + power, 0);
  return powers
    .map((power, at) => ({label: manifest.labels[at], name: manifest.names[at], probability: power / sum}))
    .sort((first, second) => second.probability - first.probability);
}

function boxes(values, {width, height}) {
  return values.detection_scores.slice(0, values.num_detections[0]).map((score, at) => {
    const [top, left, bottom, right] = values.detection_boxes.slice(4 * at, 4 * at + 4);
    const index = manifest.category_ids.indexOf(values.detection_classes[at]);
    const box = [left * width, top * height, right * width, bottom * height];
    return {label: manifest.labels[index], name: manifest.names[index], score, box};
  });
}

/** A canvas with a picture, upright and on white where it is transparent. */
function canvasOf(source, width, height) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext("2d", {willReadFrequently: true});
  context.fillStyle = "white";
  context.fillRect(0, 0, width, height);
  context.drawImage(source, 0, 0, width, height);
  return canvas;
}

async function predictFile(file) {
  const start = new Uint8Array(await file.slice(0, 3).arrayBuffer());
  const bitmap = await createImageBitmap(file, {imageOrientation: "from-image"});
  const canvas = canvasOf(bitmap, bitmap.width, bitmap.height);
  bitmap.close();
  const found = await predict(canvas, start[0] === 0xff && start[1] === 0xd8 && start[2] === 0xff);
  return {canvas, found};
}

function show(canvas, found) {
  const picture = element("picture"), context = picture.getContext("2d");
  [picture.width, picture.height] = [canvas.width, canvas.height];
  context.drawImage(canvas, 0, 0);
  picture.hidden = false;
  element("hint").hidden = true;
  const shown = manifest.kind === "classifier" ? found.slice(0, TOP) : found.filter(({score}) => score >= SCORE);
  shown.filter(({box}) => box).reverse().forEach((one) => drawBox(context, one));
  element("results").tBodies[0].replaceChildren(...shown.map(row));
  if (!shown.length) say(`No object with a score of at least ${SCORE}.`);
}

function row({label, name, probability, score}) {
  const line = document.createElement("tr"), value = probability ?? score;
  const text = document.createElement("td"), number = document.createElement("td"), bar = document.createElement("span");
  text.textContent = name || label;
  bar.className = "bar";
  bar.style.width = `${100 * value}%`;
  text.append(bar);
  number.className = "number";
  number.textContent = probability === undefined ? score.toFixed(2) : `${(100 * value).toFixed(1)}%`;
  line.append(text, number);
  return line;
}

function drawBox(context, {name, score, box: [left, top, right, bottom]}) {
  const {width, height} = context.canvas;
  const size = Math.max(12, Math.min(width, height) / 25), pad = size / 4;
  context.font = `${size}px system-ui, sans-serif`;
  context.lineWidth = size / 6;
  context.strokeStyle = context.fillStyle = "#1f6feb";
  context.strokeRect(left, top, right - left, bottom - top);
  const text = `${name} ${score.toFixed(2)}`, wide = context.measureText(text).width + 2 * pad;
  const x = Math.max(0, Math.min(left, width - wide)), y = Math.max(0, Math.min(top, height - 1.4 * size));
  context.fillRect(x, y, wide, 1.4 * size);
  context.fillStyle = "white";
  context.fillText(text, x + pad, y + 1.05 * size);
}

function say(text, isWarning = false) {
  element("status").textContent = text;
  element("status").classList.toggle("warn", isWarning);
}

async function open(file) {
  if (!file) return;
  stopCamera();
  const began = performance.now();
  try {
    const {canvas, found} = await predictFile(file);
    say(`${file.name}: ${Math.round(performance.now() - began)} ms`);
    show(canvas, found);
  } catch (error) {
    say(`${file.name} can't be read as a picture: ${error.message}`, true);
  }
}

function stopCamera() {
  stream?.getTracks().forEach((track) => track.stop());
  stream = undefined;
  element("camera").textContent = "Use the camera";
}

async function toggleCamera() {
  if (stream) return stopCamera();
  try {
    stream = await navigator.mediaDevices.getUserMedia({video: {facingMode: "environment"}, audio: false});
  } catch (error) {
    return say(`The camera can't be opened: ${error.message}`, true);
  }
  element("camera").textContent = "Stop the camera";
  const video = document.createElement("video");
  Object.assign(video, {srcObject: stream, muted: true, playsInline: true});
  await video.play();
  while (stream) {
    const began = performance.now();
    const canvas = canvasOf(video, video.videoWidth, video.videoHeight);
    const found = await predict(canvas);
    say(`Camera: ${Math.round(performance.now() - began)} ms a picture`);
    if (stream) show(canvas, found);
    await new Promise(requestAnimationFrame);
  }
}

async function start() {
  try {
    litert = await import("@litertjs/core");
    await litert.loadLiteRt(new URL(`${LITERT}/@litertjs/core/wasm/`, document.baseURI).href);
  } catch (error) {
    const hint = LITERT.startsWith("http") ? `${LITERT} can't be reached` : "the folder litert is not complete";
    return say(`LiteRT.js can't be loaded: ${hint} (${error.message}).`, true);
  }
  model = await litert.loadAndCompile(new URL("model.tflite", document.baseURI).href, {accelerator: "wasm"});
  element("file").addEventListener("change", (event) => open(event.target.files[0]));
  element("camera").addEventListener("click", toggleCamera);
  const drop = element("drop");
  for (const kind of ["dragover", "dragleave", "drop"]) {
    drop.addEventListener(kind, (event) => {
      event.preventDefault();
      drop.classList.toggle("over", kind === "dragover");
      if (kind === "drop") open(event.dataTransfer.files[0]);
    });
  }
  const {variant, width, labels, image_size: size} = manifest;
  const kinds = manifest.kind === "classifier" ? "classes" : "kinds of objects";
  say(`Ready: ${variant}, width ${width}, ${size} px, ${labels.length} ${kinds}.`);
}

await start();
window.mnasnet = {manifest, predictFile}; // for other scripts on the page
