// Work for the service: a few requests at a time, the rest waits; all can be cancelled.

export function makeQueue(most, changed) {
  let waiting = [];
  let running = new Map(); // what it is about -> AbortController

  function next() {
    while (running.size < most && waiting.length) {
      const { key, work } = waiting.shift();
      const stop = new AbortController();
      running.set(key, stop);
      work(stop.signal)
        .catch((error) => {
          if (!stop.signal.aborted) throw error;
        })
        .finally(() => {
          if (running.get(key) !== stop) return; // cancelled
          running.delete(key);
          next();
          changed();
        });
    }
  }

  return {
    // One piece of work for each key; what is wanted first goes to the front.
    add(key, work, first = false) {
      waiting = waiting.filter((one) => one.key !== key);
      running.get(key)?.abort();
      running.delete(key);
      waiting[first ? "unshift" : "push"]({ key, work });
      next();
      changed();
    },
    has: (key) => running.has(key) || waiting.some((one) => one.key === key),
    cancel() {
      waiting = [];
      for (const stop of running.values()) stop.abort();
      running = new Map();
      changed();
    },
    left: () => running.size + waiting.length,
  };
}
