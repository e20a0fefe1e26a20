// Pictures of the first screen: digits as networks see them, and what their first units look for.
// A screen has `digits`, `knobs`, `tools` of the engine, and `content`.

// What networks see of test images under a window, (places · PIXELS). Arguments: places, of the
// images; epochs, one for each, for a deficit that changes.
function seenImages({digits, knobs, tools}, {kind}, places, epochs) {
  const {own, test} = digits;
  if (kind !== own?.kind) {
    const clear = Float32Array.from(places.flatMap((i) => [...tools.image(test.images, i)]));
    return tools.spoil(clear, kind, knobs, tools.generator(0));
  }
  const seen = places.flatMap((i, at) => {
    const stage = tools.stageAt(own, own.test, Math.floor(epochs[at]));
    return [...tools.seenImage(own, own.test, i, stage)];
  });
  return Float32Array.from(seen);
}

// Images side by side, ink as black that is more or less opaque.
function paintImages({content, tools}, images) {
  const {SIDE} = tools;
  const {average, deviation} = content.digits;
  const width = images.length / SIDE;
  const ink = new ImageData(width, SIDE); // red, green, blue and opacity of each pixel
  images.forEach((value, at) => {
    const x = SIDE * Math.floor(at / SIDE ** 2) + (at % SIDE);
    const y = Math.floor(at / SIDE) % SIDE;
    ink.data[4 * (width * y + x) + 3] = 255 * (value * deviation + average);
  });
  const canvas = make("canvas", {width, height: SIDE});
  canvas.getContext("2d").putImageData(ink, 0, 0);
  return canvas;
}

// Draw ten test images along a lane, as a network sees them in each part of its life.
function drawLifeStrips(screen, lane, window) {
  const {digits, tools} = screen;
  const ten = [...Array(10).keys()];
  const epochs = ten.map((i) => window.onset + (i / 10) * window.length);
  const clear = tools.image(digits.test.images, 0, 10);
  const strip = (images) => paintImages(screen, images).toDataURL();
  const [before, during, after] = lane.children;
  drawStrip(before, strip(clear));
  drawStrip(during, strip(seenImages(screen, window, ten, epochs)));
  drawStrip(after, strip(clear));
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
function digitFigures(screen, window, places, epochs, words) {
  const {image} = screen.tools;
  const seen = epochs.map((epoch) =>
    seenImages(screen, window, places, Array(places.length).fill(epoch)),
  );
  return places.map((i, at) => {
    const images = [image(screen.digits.test.images, i), ...seen.map((all) => image(all, at))];
    const pictures = images.map((one) => paintImages(screen, one));
    return make("figure", {}, ...pictures, make("figcaption", {textContent: words[at]}));
  });
}

// What the first units of a network look for at an age, in a row with its name.
function unitsRow({tools}, textContent, className, {looks}, age) {
  const look = looks.filter(([at]) => at <= age).at(-1)?.[1];
  const name = make("b", {textContent, className});
  if (!look) return make("div", {}, name, "not born yet");
  const share = `${Math.round(100 * look.detail)} % of what it has learned is detail`;
  return make("div", {}, name, ...unitPictures(tools, look), share);
}

// Weights as pictures: light where a unit looks for ink, dark where it looks for none.
function unitPictures({SIDE, PIXELS}, {units}) {
  const scale = units.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-9);
  return Array.from({length: units.length / PIXELS}, (_, unit) => {
    const canvas = make("canvas", {width: SIDE, height: SIDE, className: "weights"});
    const pen = canvas.getContext("2d");
    for (let at = 0; at < PIXELS; at++) {
      const grey = Math.round(128 + (127 * units[unit * PIXELS + at]) / scale);
      pen.fillStyle = `rgb(${grey} ${grey} ${grey})`;
      pen.fillRect(at % SIDE, Math.floor(at / SIDE), 1, 1);
    }
    return canvas;
  });
}
