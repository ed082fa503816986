/** This file. */

/**
 * Adds {@link Thing#size things}, e.g. `a.b()`. More.
 *
 * @param {number} a first
 */
export async function add(a, b = mul(")", /[)]\//, 2), /* c */ { deep = true } = {}) {
  return a + b;
}

// eslint-disable-next-line no-unused-vars
// Doubles // twice
const dbl = (x, y = (1, 2)) => x * 2;

/** @returns {number} the count */
exports.run = async x => { go(x); };

/*
  Without stars,
  on two lines.
*/
function* each(items) { yield* items; }

/** A store. */
export default class Store extends Base {
  /**
   * @override
   * @description Opens it; see https://example.org/a.b for why.
   * @param path no
   */
  async *open(
    path, // where (
    mode = `${"("}`,
  ) {
    yield path;
  }

  /** Its size. */
  get size() { return this.size(1); }
  static of(...xs) { return xs; }
  handler = (e) => { this.handler(e); };
  #hidden(a) { return a; }
}

const api = {
  /** Greets. */
  greet(name) { return name; },
  bye: function (name, greet) { return 1; },
  later: async (n) => { await n; },
};

View.prototype.draw = function draw(canvas) { draw(1); };
