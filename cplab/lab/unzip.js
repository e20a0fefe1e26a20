// Unpacks what a page holds, which is gzip in base64, in every browser.

// The bytes of a text that is gzip in base64.
async function unzip(packed) {
  const bytes = Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0));
  if (!globalThis.DecompressionStream) return inflate(bytes);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// Unzip bytes in browsers without DecompressionStream, such as Safari before 16.4, after RFC 1951 and
// 1952: a file is a row of blocks, each stored as it is or in Huffman codes. Its header is expected
// to name no file.
//
// A symbol below 256 is a byte, and 256 ends a block. Each higher one is a length: so many bytes are
// copied from a distance back, which another symbol gives.
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
  let written = 0; // bytes
  let next = 10; // the place of the next byte that is read: the first one after the header
  let held = 0; // bits that were read, but not taken yet
  let heldCount = 0; // how many these are

  // What symbols stand for that have several values each: the first of these values, and the number
  // of bits that follow the symbol and choose one.
  function spread(bitCounts, lowest) {
    let first = lowest;
    return bitCounts.map((bits) => {
      const symbol = {bits, first};
      first += 2 ** bits;
      return symbol;
    });
  }

  // The number in the next so many bits.
  function take(bits) {
    for (; heldCount < bits; heldCount += 8) held |= bytes[next++] << heldCount;
    const value = held & ((1 << bits) - 1);
    held >>>= bits;
    heldCount -= bits;
    return value;
  }

  // A Huffman code, made from the number of bits of each symbol's word, 0 for a symbol that is not
  // used: how many words have one bit, two, …, and the symbols in the order of their words.
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

  // The two codes of a block: of its bytes and lengths (`letters`), and of its distances. What is
  // written is the number of bits of each symbol, and these numbers are in a third code.
  function readCodes() {
    const letterCount = take(5) + 257;
    const distanceCount = take(5) + 1;
    const places = ORDER.slice(0, take(4) + 4);
    const thirdBits = Array(ORDER.length).fill(0);
    for (const place of places) thirdBits[place] = take(3);
    const third = makeCode(thirdBits);
    const bits = []; // of all letters, and then of all distances
    const repeat = (number, times) => bits.push(...Array(times).fill(number));
    while (bits.length < letterCount + distanceCount) {
      const symbol = decode(third);
      if (symbol < 16) bits.push(symbol);
      if (symbol === 16) repeat(bits.at(-1), 3 + take(2));
      if (symbol === 17) repeat(0, 3 + take(3));
      if (symbol === 18) repeat(0, 11 + take(7));
    }
    return {
      letters: makeCode(bits.slice(0, letterCount)),
      distances: makeCode(bits.slice(letterCount)),
    };
  }

  // The codes of a block that brings none of its own.
  function fixedCodes() {
    const bits = [
      ...Array(144).fill(8),
      ...Array(112).fill(9),
      ...Array(24).fill(7),
      ...Array(8).fill(8),
    ];
    return {letters: makeCode(bits), distances: makeCode(Array(30).fill(5))};
  }

  // Copy a block that is stored as it is: two bytes with its length, two to check this, and then its
  // bytes.
  function copyStored() {
    held = heldCount = 0; // it begins at a whole byte
    const length = bytes[next] | (bytes[next + 1] << 8);
    const begin = next + 4;
    next = begin + length;
    out.set(bytes.subarray(begin, next), written);
    written += length;
  }

  // Read a block that is in codes.
  function readBlock({letters, distances}) {
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

  let isLast = false;
  while (!isLast) {
    isLast = Boolean(take(1));
    const kind = take(2);
    if (kind === 0) copyStored();
    else if (kind === 1) readBlock(fixedCodes());
    else readBlock(readCodes());
  }
  return out;
}
