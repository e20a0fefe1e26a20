// Pictures of the first screen: digits as networks see them. `screen` is the Nursery of nursery.js, of
// which they use the digits, the knobs, the content and the tools of `engine` in networks.js. Images there are one array, (count · PIXELS), normalised.

// What networks see of test images under a window, one array. Arguments: indices, of the images;
// epochs, one for each, since a student's own deficit may change.
function seenImages({digits, knobs, tools}, {kind}, indices, epochs) {
  const {own, test} = digits;
  if (kind !== own?.kind) {
    const clear = indices.flatMap((i) => [...tools.image(test.images, i)]);
    return tools.spoil(Float32Array.from(clear), kind, knobs.strengths[kind], tools.generator(0));
  }
  const seen = indices.flatMap((i, place) => {
    const stage = tools.stageAt(own, own.test, Math.floor(epochs[place]));
    return [...tools.seenImage(own, own.test, i, stage)];
  });
  return Float32Array.from(seen);
}

// A canvas with images side by side, ink as black that is more or less opaque.
function paintImages({content, tools}, images) {
  const {SIDE, PIXELS} = tools;
  const {average, deviation} = content.digits;
  const width = images.length / SIDE;
  const ink = new ImageData(width, SIDE); // red, green, blue and opacity of each pixel
  for (const [at, value] of images.entries()) {
    const x = SIDE * Math.floor(at / PIXELS) + (at % SIDE);
    const y = Math.floor(at / SIDE) % SIDE;
    ink.data[4 * (width * y + x) + 3] = 255 * (value * deviation + average);
  }
  const canvas = make("canvas", {width, height: SIDE});
  canvas.getContext("2d").putImageData(ink, 0, 0);
  return canvas;
}

// Draw the first ten test images along a lane of the line of life, as a network sees them in each
// part of its life.
function drawLifeStrips(screen, lane, window) {
  const {digits, tools} = screen;
  const ten = [...Array(10).keys()];
  const epochs = ten.map((i) => window.onset + (i / 10) * window.length);
  const clear = tools.image(digits.test.images, 0, 10);
  const address = (images) => paintImages(screen, images).toDataURL();
  const [before, during, after] = lane.children;
  drawStrip(before, address(clear));
  drawStrip(during, address(seenImages(screen, window, ten, epochs)));
  drawStrip(after, address(clear));
}

// The epochs at which a deficit is drawn: a student's own that changes where its window begins and
// where it ends, any other one once.
function epochsDrawn({digits: {own}, tools}, {kind, onset, length}) {
  if (kind !== own?.kind) return [onset];
  const {epochs} = own.test;
  const stages = [onset, onset + length - 1].map((epoch) => tools.stageAt(own, own.test, epoch));
  return [...new Set(stages)].map((stage) => epochs[stage]);
}

// Test images, clear and as networks see them at some epochs of a window, with words below each.
function digitFigures(screen, window, indices, epochs, words) {
  const {image} = screen.tools;
  const seenAtEpochs = epochs.map((epoch) => {
    return seenImages(screen, window, indices, Array(indices.length).fill(epoch));
  });
  return indices.map((i, place) => {
    const clear = image(screen.digits.test.images, i);
    const seen = seenAtEpochs.map((images) => image(images, place));
    const pictures = [clear, ...seen].map((one) => paintImages(screen, one));
    return make("figure", {}, ...pictures, make("figcaption", {textContent: words[place]}));
  });
}
