// A relay of bytes on Bun, to compare others with: what arrives on one port goes to every connection on the other.
// Run: bun relay.js PUBLISH_PORT SUBSCRIBE_PORT, on 127.0.0.1
const hostname = "127.0.0.1";
const [publishPort, subscribePort] = process.argv.slice(2).map(Number);
const subscribers = new Set();

// Bytes that write() did not take wait in `rest` until drain() is called.
function deliver(subscriber, bytes) {
  const { rest } = subscriber.data;
  const taken = rest.length ? 0 : Math.max(0, subscriber.write(bytes));
  if (taken < bytes.length) rest.push(taken ? bytes.subarray(taken) : bytes);
}

function drain(subscriber) {
  const { rest } = subscriber.data;
  while (rest.length) {
    const taken = Math.max(0, subscriber.write(rest[0]));
    if (taken < rest[0].length) {
      rest[0] = rest[0].subarray(taken);
      return;
    }
    rest.shift();
  }
}

Bun.listen({
  hostname,
  port: subscribePort,
  socket: {
    open(subscriber) {
      subscriber.data = { rest: [] };
      subscribers.add(subscriber);
    },
    data() {},
    drain,
    close: (subscriber) => subscribers.delete(subscriber),
    error() {},
  },
});

Bun.listen({
  hostname,
  port: publishPort,
  socket: {
    data(_publisher, bytes) {
      const kept = new Uint8Array(bytes); // a copy, because Bun may reuse its buffer
      for (const subscriber of subscribers) deliver(subscriber, kept);
    },
    error() {},
  },
});
