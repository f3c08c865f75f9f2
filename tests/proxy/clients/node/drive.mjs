// Drives a server through toxiproxy-node-client, and says "ok" at the end.
import assert from "node:assert/strict";
import net from "node:net";
import client from "toxiproxy-node-client";

const { Toxiproxy } = client;
const [api, upstream] = process.argv.slice(2);

function roundTripMs(listen) {
  const [host, port] = listen.split(":");
  return new Promise((resolve, reject) => {
    const began = performance.now();
    const socket = net.connect(Number(port), host, () => socket.write("hello"));
    socket.setTimeout(20000, () => reject(new Error("no answer")));
    socket.on("error", reject);
    socket.on("data", (data) => {
      assert.equal(data.toString(), "hello");
      socket.destroy();
      resolve(performance.now() - began);
    });
  });
}

const toxiproxy = new Toxiproxy(api);
assert.match(await toxiproxy.getVersion(), /version/);
await toxiproxy.reset();
const proxy = await toxiproxy.createProxy({ name: "node", listen: "127.0.0.1:0", upstream });
assert.equal(proxy.enabled, true);
await roundTripMs(proxy.listen);
await assert.rejects(toxiproxy.createProxy({ name: "node", listen: "127.0.0.1:0", upstream }));

const toxic = await proxy.addToxic({
  attributes: { latency: 100, jitter: 0 }, name: "slow", stream: "downstream", toxicity: 1, type: "latency",
});
assert.deepEqual(toxic.toJson(), {
  attributes: { latency: 100, jitter: 0 }, name: "slow", stream: "downstream", toxicity: 1, type: "latency",
});
assert.ok(await roundTripMs(proxy.listen) >= 99);
const changed = await toxic.update({ attributes: { latency: 0, jitter: 0 }, toxicity: 1 });
assert.equal(changed.attributes.latency, 0);
assert.equal((await proxy.getToxic("slow")).attributes.latency, 0);
await toxic.remove();
await assert.rejects(proxy.getToxic("slow"));

const down = await proxy.update({ enabled: false, listen: proxy.listen, upstream });
assert.equal(down.enabled, false);
await assert.rejects(roundTripMs(proxy.listen));
await toxiproxy.reset();
await roundTripMs((await toxiproxy.get("node")).listen);

const populated = await toxiproxy.populate([
  { name: "node", listen: proxy.listen, upstream }, { name: "more", listen: "127.0.0.1:0", upstream },
]);
assert.deepEqual(Object.keys(populated).sort(), ["more", "node"]);
const all = await toxiproxy.getAll();
assert.deepEqual(Object.keys(all).sort(), ["more", "node"]);
for (const one of Object.values(all)) await one.remove();
assert.deepEqual(await toxiproxy.getAll(), {});
console.log("ok");
