// Shows the newest messages of a relay, and every gap. It goes on where it stopped when the connection is lost.
// The relay is that of this machine, port 8003, or the one in the address: session.html?relay=ws://example.org:8003

const HEARTBEAT = 2; // seconds; the connection is dead if nothing at all comes for three of them
const SHOWN = 1000; // lines
const relay = new URLSearchParams(location.search).get("relay") ?? "ws://127.0.0.1:8003";
const show = (id, value) => (document.getElementById(id).textContent = value);
let last; // epoch and number of the last message
let sure; // of the last that the relay has confirmed
let pause = 0.1; // seconds until the next attempt
let [count, lost, attempts] = [0, 0, 0];

function connect() {
  const after = last ? `&after=${last.epoch}-${last.number}` : "";
  const socket = new WebSocket(`${relay}/ws?session&heartbeat=${HEARTBEAT}${after}`);
  let over = false;
  let silence;
  const listen = () => {
    clearTimeout(silence);
    silence = setTimeout(end, 3 * HEARTBEAT * 1000);
  };
  function end() { // closing a connection that is dead may take minutes: what it brings then does not count
    if (over) return;
    over = true;
    clearTimeout(silence);
    socket.close();
    show("state", "away");
    setTimeout(connect, pause * (0.5 + Math.random() / 2) * 1000);
    pause = Math.min(30, 2 * pause);
  }
  socket.binaryType = "arraybuffer";
  socket.onclose = socket.onerror = end;
  socket.onmessage = ({ data }) => {
    if (over) return;
    listen();
    if (typeof data === "string") {
      if (!hear(JSON.parse(data))) end();
    } else {
      last = { epoch: last.epoch, number: last.number + 1 };
      show("count", ++count);
      add(`${last.number}: ${new TextDecoder().decode(data)}`);
    }
  };
  show("attempts", ++attempts);
  listen();
}

// Takes what the relay says. Returns whether the connection is still good.
function hear(said) {
  if (!said.next) return true; // a type that we do not know
  const [epoch, number] = said.next.split("-");
  const here = { epoch, number: Number(number) - 1 };
  if (said.type === "welcome") {
    [last, pause] = [here, 0.1];
    show("state", "connected");
  }
  if (said.type === "gap") last = { epoch: last.epoch, number: last.number + said.lost };
  if (last.epoch !== here.epoch || last.number !== here.number) {
    last = sure; // so that nothing is lost; some messages may come twice
    return false;
  }
  sure = last;
  if (said.lost) show("lost", (lost += said.lost));
  if ("lost" in said && said.lost !== 0) add(`${said.lost ?? "an unknown number of"} messages are lost`, "gap");
  if (said.type === "bye") pause = said.retry ?? pause;
  return said.type !== "bye";
}

function add(text, kind = "") {
  const line = Object.assign(document.createElement("li"), { textContent: text, className: kind });
  const list = document.getElementById("messages");
  list.append(line);
  if (list.childElementCount > SHOWN) list.firstChild.remove();
}

connect();
