// Unpacks what a page holds, which is gzip in base64, in every browser.

// The bytes of a text that is gzip in base64.
async function unzip(packed) {
  const bytes = Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0));
  if (!globalThis.DecompressionStream) return inflate(bytes);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// The same for browsers without DecompressionStream, such as Safari before 16.4, after RFC 1951 and
// 1952: a file is a row of blocks, each stored as it is or in Huffman codes. Its header is expected
// to name no file.
function inflate(bytes) {
  const LENGTHS = spread(
    [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5],
    3,
  );
  LENGTHS.push({bits: 0, first: 258});
  const DISTANCES = spread(
    Array.from({length: 30}, (_, i) => Math.max(0, (i >> 1) - 1)),
    1,
  );
  const ORDER = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
  const END = 256; // of a block
  const size = new DataView(bytes.buffer).getUint32(bytes.length - 4, true);
  const out = new Uint8Array(size);
  let written = 0;
  let at = 10; // after the header
  let held = 0; // bits that were read, but not taken yet
  let count = 0; // how many these are

  // What each symbol stands for: the first of its values, and how many bits follow that choose one.
  function spread(bits, first) {
    return bits.map((count) => {
      const symbol = {bits: count, first};
      first += 2 ** count;
      return symbol;
    });
  }

  // The number in the next so many bits.
  function take(bits) {
    for (; count < bits; count += 8) held |= bytes[at++] << count;
    const value = held & ((1 << bits) - 1);
    held >>>= bits;
    count -= bits;
    return value;
  }

  // A code, made from the number of bits of each symbol: how many symbols have one bit, two, …, and
  // the symbols in the order of their words.
  function makeCode(bits) {
    const counts = Array(16).fill(0);
    for (const length of bits) if (length) counts[length]++;
    const symbols = [...bits.keys()].filter((symbol) => bits[symbol]);
    symbols.sort((a, b) => bits[a] - bits[b] || a - b);
    return {counts, symbols};
  }

  // The next symbol that is written in a code.
  function decode({counts, symbols}) {
    let word = 0;
    let first = 0; // the first word of this length
    let place = 0; // of its symbol among all
    for (let length = 1; length < 16; length++) {
      word |= take(1);
      if (word - first < counts[length]) return symbols[place + word - first];
      place += counts[length];
      first = (first + counts[length]) << 1;
      word <<= 1;
    }
    throw new Error("the content of this page is broken: load it again");
  }

  // The two codes of a block: of its bytes and lengths, and of its distances. They are themselves
  // written in a code.
  function readCodes() {
    const letters = take(5) + 257;
    const distances = take(5) + 1;
    const places = ORDER.slice(0, take(4) + 4);
    const small = Array(ORDER.length).fill(0);
    for (const place of places) small[place] = take(3);
    const code = makeCode(small);
    const bits = [];
    while (bits.length < letters + distances) {
      const symbol = decode(code);
      if (symbol < 16) bits.push(symbol);
      if (symbol === 16) bits.push(...Array(3 + take(2)).fill(bits.at(-1)));
      if (symbol === 17) bits.push(...Array(3 + take(3)).fill(0));
      if (symbol === 18) bits.push(...Array(11 + take(7)).fill(0));
    }
    return [makeCode(bits.slice(0, letters)), makeCode(bits.slice(letters))];
  }

  // The codes of a block that brings none of its own.
  function fixedCodes() {
    const bits = [8, 9, 7, 8].flatMap((length, i) => Array([144, 112, 24, 8][i]).fill(length));
    return [makeCode(bits), makeCode(Array(30).fill(5))];
  }

  // Copy a block that is stored as it is.
  function copyStored() {
    held = count = 0; // it begins at a whole byte
    const length = bytes[at] | (bytes[at + 1] << 8);
    out.set(bytes.subarray(at + 4, at + 4 + length), written);
    at += 4 + length;
    written += length;
  }

  // Read a block: bytes, and places further back from which several are copied.
  function readBlock([letters, distances]) {
    for (let symbol = decode(letters); symbol !== END; symbol = decode(letters)) {
      if (symbol < END) {
        out[written++] = symbol;
        continue;
      }
      const length = LENGTHS[symbol - END - 1];
      const end = written + length.first + take(length.bits);
      const distance = DISTANCES[decode(distances)];
      const back = distance.first + take(distance.bits);
      for (; written < end; written++) out[written] = out[written - back];
    }
  }

  for (let last = 0; !last;) {
    last = take(1);
    const kind = take(2);
    if (kind === 0) copyStored();
    else readBlock(kind === 1 ? fixedCodes() : readCodes());
  }
  return out;
}
