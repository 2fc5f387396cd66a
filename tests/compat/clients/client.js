// SPDX-License-Identifier: Apache-2.0
//
// toxiproxy-node-client against our daemon, whose port is in API_PORT: create, toggle, every toxic, update, populate,
// reset, errors; with bytes through the proxy.
const assert = require("assert");
const net = require("net");
const { Toxiproxy } = require("toxiproxy-node-client");

const toxics = {
  latency: { latency: 100, jitter: 0 },
  bandwidth: { rate: 1000 },
  slow_close: { delay: 10 },
  timeout: { timeout: 5000 },
  reset_peer: { timeout: 5000 },
  slicer: { average_size: 64, size_variation: 32, delay: 10 },
  limit_data: { bytes: 1000 },
  noop: {},
};

function echoServer() {
  const server = net.createServer((socket) => socket.on("error", () => {}).pipe(socket));
  return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(server)));
}

function connect(proxy) {
  const at = proxy.listen.lastIndexOf(":");
  return new Promise((resolve, reject) => {
    const socket = net.connect(Number(proxy.listen.slice(at + 1)), proxy.listen.slice(0, at));
    socket.on("connect", () => resolve(socket)).on("error", reject);
  });
}

async function roundTrip(socket, text) {
  const begun = process.hrtime.bigint();
  const answer = new Promise((resolve, reject) => {
    let got = "";
    const take = (data) => {
      got += data;
      if (got.length < text.length) return;
      socket.off("data", take);
      resolve(got);
    };
    socket.on("data", take).once("close", () => reject(new Error("the stream ended")));
  });
  socket.write(text);
  assert.strictEqual(await answer, text);
  return Number(process.hrtime.bigint() - begun) / 1e6;
}

async function checkToggle(proxy) {
  const socket = await connect(proxy);
  await roundTrip(socket, "up");
  const ended = new Promise((resolve) => socket.once("end", resolve));
  const down = await proxy.update({ enabled: false, listen: proxy.listen, upstream: proxy.upstream });
  assert.strictEqual(down.enabled, false);
  await ended;
  await assert.rejects(connect(proxy), { code: "ECONNREFUSED" });
  const up = await proxy.update({ enabled: true, listen: proxy.listen, upstream: proxy.upstream });
  assert.deepStrictEqual([up.enabled, up.listen], [true, proxy.listen]);
  const again = await connect(proxy);
  await roundTrip(again, "up again");
  again.destroy();
}

async function checkToxics(proxy) {
  for (const [type, attributes] of Object.entries(toxics)) {
    for (const stream of ["upstream", "downstream"]) {
      const made = await proxy.addToxic({ type, attributes, stream, name: "", toxicity: 0.5 });
      assert.deepStrictEqual(made.toJson(), { attributes, name: `${type}_${stream}`, stream, toxicity: 0.5, type });
      const found = await proxy.getToxic(made.name);
      assert.deepStrictEqual(found.toJson(), made.toJson());
      await made.remove();
      await assert.rejects(proxy.getToxic(made.name), /status code 404/);
    }
  }
}

async function checkEffects(proxy) {
  const socket = await connect(proxy);
  const toxic = await proxy.addToxic({ type: "latency", attributes: { latency: 150, jitter: 0 } });
  assert.ok((await roundTrip(socket, "slow")) >= 150);
  const updated = await toxic.update({ toxicity: 1, attributes: { latency: 300, jitter: 0 } });
  assert.strictEqual(updated.attributes.latency, 300);
  assert.ok((await roundTrip(socket, "slower")) >= 300);
  await toxic.remove();
  assert.ok((await roundTrip(socket, "fast")) < 300);
  socket.destroy();
}

async function main() {
  const host = `http://127.0.0.1:${process.env.API_PORT}`;
  const client = new Toxiproxy(host);
  const server = await echoServer();
  const upstream = `127.0.0.1:${server.address().port}`;
  assert.match(await client.getVersion(), /2\.12\.0/);
  assert.deepStrictEqual(await client.getAll(), {});

  const proxy = await client.createProxy({ name: "web", listen: "localhost:0", upstream });
  assert.match(proxy.listen, /^127\.0\.0\.1:\d+$/);
  await assert.rejects(client.createProxy({ name: "web", listen: "localhost:0", upstream }), /status code 409/);
  await assert.rejects(client.get("nobody"), /status code 404/);
  await assert.rejects(proxy.addToxic({ type: "nonsense", attributes: {} }), /status code 400/);
  await checkToggle(proxy);
  await checkToxics(proxy);
  await checkEffects(proxy);

  await proxy.addToxic({ type: "noop", attributes: {} });
  await client.reset();
  await assert.rejects(proxy.getToxic("noop_downstream"), /status code 404/);

  assert.deepStrictEqual(await client.populate([]), {});
  const made = await client.populate([
    { name: "web", listen: proxy.listen, upstream },
    { name: "more", listen: "localhost:0", upstream },
  ]);
  assert.deepStrictEqual(Object.keys(made).sort(), ["more", "web"]);
  assert.strictEqual(made.web.listen, proxy.listen);
  for (const one of Object.values(await client.getAll())) await one.remove();
  assert.deepStrictEqual(await client.getAll(), {});
  await assert.rejects(proxy.remove(), /status code 404/);
  server.close();
  console.log("toxiproxy-node-client: passed");
}

main().then(
  () => process.exit(0),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
