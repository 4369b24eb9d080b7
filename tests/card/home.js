// What the card sees of Home Assistant: one line whose entities have names that say nothing.
const ENTITIES = {
  "button.a1": "answer", "button.a2": "reject", "button.a3": "hang_up", "button.a4": "open_door",
  "button.a5": "redial", "button.a6": "reset_missed_calls", "binary_sensor.b1": "ringing", "binary_sensor.b2": "in_call",
  "sensor.c1": "call_state", "sensor.c2": "remote_party", "sensor.c3": "answered_at", "sensor.c4": "last_call",
  "sensor.c5": "missed_calls", "sensor.c6": "voicemail", "sensor.c7": "registration", "event.d1": "doorbell",
  "select.e1": "contact", "switch.f1": "mute", "switch.f2": "hold", "switch.f3": "record",
  "switch.f4": "do_not_disturb", "event.d2": "call",
};
const IDLE = {
  answer: "unavailable", reject: "unavailable", hang_up: "unavailable", open_door: "unknown", redial: "unknown",
  reset_missed_calls: "unknown", ringing: "off", in_call: "off", call_state: "idle", remote_party: "unknown",
  answered_at: "unknown", last_call: "unknown", missed_calls: "0", voicemail: "0", registration: "registered",
  doorbell: "unknown", contact: "Anna", mute: "unavailable", hold: "unavailable", record: "unavailable",
  do_not_disturb: "off", call: "unknown",
};
const RINGING = { ...IDLE, call_state: "ringing", ringing: "on", remote_party: "Front door", answer: "unknown",
  reject: "unknown", hang_up: "unknown" };
const DIALING = { ...IDLE, call_state: "dialing", remote_party: "Anna", hang_up: "unknown" };
const TALKING = { ...IDLE, call_state: "in_call", in_call: "on", remote_party: "Front door", hang_up: "unknown",
  mute: "off", hold: "off", record: "off" };
const PHASES = { idle: IDLE, ringing: RINGING, dialing: DIALING, talking: TALKING };

const called = []; // actions, in order: [domain.service, data or target's entity]
let refusal = null; // what Home Assistant says to the next action
let waiting = null; // set: actions end only when it is called
let past = []; // history of the last call: [time, attributes]

/** Home Assistant at a moment: a phase of the line, states by translation key, attributes by translation key. */
function home(phase, states = {}, attributes = {}, more = {}) {
  const given = { contact: { options: ["Anna", "Bob", "Kitchen"] }, ...attributes };
  const values = phase === "offline" ? {} : { ...PHASES[phase], ...states };
  const entities = {};
  const all = { "camera.door": { state: "idle", attributes: { entity_picture: "/camera.svg?token=1" } } };
  for (const [id, key] of Object.entries(ENTITIES)) {
    entities[id] = { entity_id: id, device_id: "door", platform: "sip_phone", translation_key: key };
    all[id] = { state: values[key] ?? "unavailable", attributes: given[key] ?? {} };
  }
  entities["binary_sensor.z"] = { entity_id: "binary_sensor.z", device_id: "bridge", platform: "sip_phone" };
  entities["light.x"] = { entity_id: "light.x", device_id: "door", platform: "other", translation_key: "answer" };
  return {
    states: all, entities, devices: { door: { name: "Door", name_by_user: null }, bridge: { name: "Home" } },
    language: "en", locale: { language: "en", time_format: "24", time_zone: "server" },
    config: { time_zone: "UTC", components: ["history"] },
    async callService(domain, service, data, target, notifyOnError = true) {
      called.push([`${domain}.${service}`, target?.entity_id ? ENTITIES[target.entity_id] : data, notifyOnError]);
      if (waiting) await new Promise((go) => (waiting = go));
      if (refusal) throw refusal;
    },
    async callWS() {
      return { "sensor.c4": past.map(([s, a]) => ({ s, a })) };
    },
    ...more,
  };
}

/** Puts a card on the page, or gives the one that is there another moment. */
function show(hass, config) {
  let card = document.querySelector("main sip-phone-card");
  if (!card) {
    card = document.createElement("sip-phone-card");
    card.setConfig({ type: "custom:sip-phone-card", device_id: "door", ...config });
    document.querySelector("main").append(card);
  }
  card.hass = hass;
}

customElements.define("home-assistant", class extends HTMLElement {
  provided = [];
  hass = home("idle");
  constructor() {
    super();
    this.attachShadow({ mode: "open" });
  }
  provideHass(element) {
    this.provided.push(element);
    element.hass = this.hass;
  }
  give(hass) {
    this.hass = hass;
    for (const element of this.provided) element.hass = hass;
  }
});
const everywhere = (hass) => document.querySelector("home-assistant").give(hass);
