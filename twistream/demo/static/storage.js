// What a browser remembers for a page. `where` is localStorage or sessionStorage, by name. A browser
// that blocks cookies refuses both, and one that is full refuses to write. Then nothing is kept.

export function recall(where, key) {
  try {
    return globalThis[where].getItem(key);
  } catch {
    return null;
  }
}

export function remember(where, key, value) {
  try {
    globalThis[where].setItem(key, value);
  } catch {
    // The page works without it.
  }
}
