// Small networks for a page, in WebAssembly with 128-bit SIMD: twelve times as fast as the same
// arithmetic in JavaScript. `make wasm` builds networks.wasm from this file; networks.js uses it.
//
// Fully connected layers with ReLU between them, cross-entropy of a softmax, plain stochastic
// gradient descent in batches of 32. One network at a time lies in this memory: networks.js writes
// it, its images and their order into the arrays that are exported, calls `epoch` or `score`, and
// reads the arrays again.
//
// A network is one array, layer after layer: weights (inputs, outputs), then biases (outputs).
// The last layer has 16 outputs, so that vectors of eight fit; those beyond the tenth stay 0.

#include <wasm_simd128.h>

enum {
  PIXELS = 144,
  CLASSES = 10,
  BATCH = 32,
  IMAGES = 1024,      // at most
  LAYERS = 4,         // at most
  WIDEST = 144,       // units of a layer, at most; a multiple of 8
  LANES = 4,          // floats of a vector
  ROWS = 4,           // of a tile
  COLUMNS = 2,        // of a tile, in vectors
};

// What networks.js reads and writes.
float network[LAYERS * (WIDEST * WIDEST + WIDEST)];
float images[IMAGES * PIXELS];
unsigned char labels[IMAGES];
int order[IMAGES];            // in which an epoch takes the images
int sizes[LAYERS + 1];        // inputs, outputs of each layer
float scores[IMAGES * 16];    // what `score` finds, before the softmax

// A layer of the network, as places in the array.
typedef struct {
  int inputs;
  int outputs;
  float *weights;
  float *biases;
} Layer;

static float batch[BATCH * WIDEST];
static float outputs[LAYERS][BATCH * WIDEST];
static float errors[LAYERS][BATCH * WIDEST];   // minus the gradients by the outputs, times the rate
static float turned[WIDEST * WIDEST];          // weights, outputs first

// c = a b, or c += a b where `add` is set. a is (rows, inner), of which element (i, k) stands at
// a[i * down + k * right], so that a transposed matrix needs no copy; b is (inner, columns) and c
// (rows, columns). rows is a multiple of 4 and columns of 8: a tile of them stays in registers.
static void multiply(const float *a, int down, int right, const float *b, float *c,
                     int rows, int columns, int inner, int add) {
  for (int column = 0; column < columns; column += COLUMNS * LANES) {
    for (int row = 0; row < rows; row += ROWS) {
      v128_t tile[ROWS][COLUMNS];
      for (int r = 0; r < ROWS; r++) {
        for (int v = 0; v < COLUMNS; v++) {
          const float *old = c + (row + r) * columns + column + v * LANES;
          tile[r][v] = add ? wasm_v128_load(old) : wasm_f32x4_splat(0);
        }
      }
      for (int k = 0; k < inner; k++) {
        v128_t right_side[COLUMNS];
        for (int v = 0; v < COLUMNS; v++) {
          right_side[v] = wasm_v128_load(b + k * columns + column + v * LANES);
        }
        for (int r = 0; r < ROWS; r++) {
          v128_t left_side = wasm_f32x4_splat(a[(row + r) * down + k * right]);
          for (int v = 0; v < COLUMNS; v++) {
            tile[r][v] = wasm_f32x4_add(tile[r][v], wasm_f32x4_mul(left_side, right_side[v]));
          }
        }
      }
      for (int r = 0; r < ROWS; r++) {
        for (int v = 0; v < COLUMNS; v++) {
          wasm_v128_store(c + (row + r) * columns + column + v * LANES, tile[r][v]);
        }
      }
    }
  }
}

// e to the power of x, for x of 0 or less: a power of 2 that is a whole number, made from bits, times
// a polynomial for the rest. Its relative error is below 1e-6.
static float exponential(float x) {
  float power = x * 1.44269504f;  // of 2
  if (power < -126) {
    return 0;
  }
  int whole = (int)(power - 0.5f);
  float rest = (power - whole) * 0.693147181f;
  float tail = 0.16666667f + rest * (0.041666667f + rest * (0.0083333f + rest * 0.00138889f));
  union {
    int bits;
    float value;
  } scale = {(whole + 127) << 23};
  return scale.value * (1 + rest * (1 + rest * (0.5f + rest * tail)));
}

// Find the layers of the network in its array.
static void find_layers(Layer *layers, int count) {
  float *next = network;
  for (int l = 0; l < count; l++) {
    Layer layer = {.inputs = sizes[l], .outputs = sizes[l + 1], .weights = next};
    layer.biases = layer.weights + layer.inputs * layer.outputs;
    next = layer.biases + layer.outputs;
    layers[l] = layer;
  }
}

// Images (rows, inputs) through all layers: the last layer's outputs are scores.
static void forward(const Layer *layers, int count, const float *x, int rows) {
  for (int l = 0; l < count; l++) {
    Layer layer = layers[l];
    float *out = outputs[l];
    for (int r = 0; r < rows; r++) {
      for (int j = 0; j < layer.outputs; j++) {
        out[r * layer.outputs + j] = layer.biases[j];
      }
    }
    multiply(x, layer.inputs, 1, layer.weights, out, rows, layer.outputs, layer.inputs, 1);
    if (l < count - 1) {
      for (int i = 0; i < rows * layer.outputs; i += LANES) {
        v128_t positive = wasm_f32x4_max(wasm_v128_load(out + i), wasm_f32x4_splat(0));
        wasm_v128_store(out + i, positive);
      }
    }
    x = out;
  }
}

// The errors of the scores, (rows, width): minus the gradient of the mean cross-entropy of so many
// images, times the rate. `first` is the first image's place in the order. Rows beyond them have 0.
static void compare(const float *result, float *error, int width, int first, int many, int rows,
                    float rate) {
  for (int r = 0; r < rows; r++) {
    const float *row = result + r * width;
    float *wrong = error + r * width;
    float most = row[0];
    for (int j = 1; j < CLASSES; j++) {
      most = row[j] > most ? row[j] : most;
    }
    float sum = 0;
    for (int j = 0; j < CLASSES; j++) {
      wrong[j] = exponential(row[j] - most);
      sum += wrong[j];
    }
    int label = r < many ? labels[order[first + r]] : 0;
    float share = r < many ? rate / many : 0;
    for (int j = 0; j < width; j++) {
      wrong[j] = j < CLASSES ? ((j == label) - wrong[j] / sum) * share : 0;
    }
  }
}

// From a layer's errors to those of the layer below, (rows, inputs); its units that are off have 0.
static void send_back(Layer layer, const float *error, const float *below, float *error_below,
                      int rows) {
  for (int i = 0; i < layer.inputs; i++) {
    for (int j = 0; j < layer.outputs; j++) {
      turned[j * layer.inputs + i] = layer.weights[i * layer.outputs + j];
    }
  }
  multiply(error, layer.outputs, 1, turned, error_below, rows, layer.inputs, layer.outputs, 0);
  for (int i = 0; i < rows * layer.inputs; i++) {
    if (below[i] <= 0) {
      error_below[i] = 0;
    }
  }
}

// Change a layer by its errors and what it was given, (rows, inputs).
static void change(Layer layer, const float *x, const float *error, int rows) {
  multiply(x, 1, layer.inputs, error, layer.weights, layer.inputs, layer.outputs, rows, 1);
  for (int r = 0; r < rows; r++) {
    for (int j = 0; j < layer.outputs; j++) {
      layer.biases[j] += error[r * layer.outputs + j];
    }
  }
}

// So many images, or more: what fills whole tiles.
static int whole_tiles(int many) {
  return (many + ROWS - 1) / ROWS * ROWS;
}

// Train one epoch on the images that `order` names.
__attribute__((export_name("epoch"))) void epoch(int images_in_order, int count, float rate) {
  Layer layers[LAYERS];
  find_layers(layers, count);
  int last = count - 1;
  for (int first = 0; first < images_in_order; first += BATCH) {
    int left = images_in_order - first;
    int many = left < BATCH ? left : BATCH;
    int rows = whole_tiles(many);
    for (int r = 0; r < rows; r++) {
      for (int p = 0; p < PIXELS; p++) {
        batch[r * PIXELS + p] = r < many ? images[order[first + r] * PIXELS + p] : 0;
      }
    }
    forward(layers, count, batch, rows);
    compare(outputs[last], errors[last], layers[last].outputs, first, many, rows, rate);
    for (int l = last; l > 0; l--) {
      send_back(layers[l], errors[l], outputs[l - 1], errors[l - 1], rows);
      change(layers[l], outputs[l - 1], errors[l], rows);
    }
    change(layers[0], batch, errors[0], rows);
  }
}

// Find the scores of the first so many images.
__attribute__((export_name("score"))) void score(int many, int count) {
  Layer layers[LAYERS];
  find_layers(layers, count);
  int width = layers[count - 1].outputs;
  for (int first = 0; first < many; first += BATCH) {
    int left = many - first;
    int rows = whole_tiles(left < BATCH ? left : BATCH);
    forward(layers, count, images + first * PIXELS, rows);
    for (int i = 0; i < rows * width; i++) {
      scores[first * width + i] = outputs[count - 1][i];
    }
  }
}
