// @ts-check
/**
 * A phone line of the SIP Phone integration on a Home Assistant dashboard: `type: custom:sip-phone-card`.
 *
 * In this order: texts, DOM helpers, `Line` (what Home Assistant knows of a line), the views (one for each phase of a
 * call), the card, and the pop-up. A view is built once when its phase begins and then only updated, so that focus and
 * what a person types survive. Nothing here relies on names of entities or on Home Assistant's inner elements.
 *
 * @typedef {{state: string, attributes: Record<string, any>, last_changed: string}} EntityState
 * @typedef {{entity_id: string, device_id?: string, platform?: string, translation_key?: string}} EntityEntry
 * @typedef {{
 *   states: Record<string, EntityState>,
 *   entities: Record<string, EntityEntry>,
 *   devices: Record<string, {name?: string, name_by_user?: string}>,
 *   language: string,
 *   locale?: {language: string, time_format?: string, time_zone?: string},
 *   config?: {time_zone?: string, components?: string[]},
 *   callService: (domain: string, service: string, data?: object, target?: object) => Promise<unknown>,
 *   callWS?: (message: object) => Promise<any>,
 * }} Hass
 * @typedef {{
 *   device_id?: string, entity?: string, name?: string, camera?: string, camera_view?: "live" | "picture",
 *   dial_pad?: boolean, popup?: boolean,
 * }} CardConfig
 * @typedef {"missing" | "offline" | "idle" | "dialing" | "ringing" | "talking"} Phase
 * @typedef {{root: HTMLElement, heading: HTMLElement, update: (line: Line) => void, end?: () => void}} View
 */

const PLATFORM = "sip_phone";
const KEYS = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "*", "0", "#"];
const LETTERS = ["", "ABC", "DEF", "GHI", "JKL", "MNO", "PQRS", "TUV", "WXYZ", "", "+", ""];
const RECENT_CALLS = 5;
const RECENT_DAYS = 14;
const PICTURE_MS = 1000; // between two pictures of a camera
const POPUPS_KEY = "sip-phone-card-popups"; // this browser's storage: device id to the card's configuration

// --- texts ---------------------------------------------------------------------------------------------------------

/** @type {Record<string, Record<string, string>>} */
const TEXTS = {
  en: {
    answer: "Answer", reject: "Reject", open_door: "Open door", door_opened: "The door was opened", hang_up: "Hang up",
    mute: "Mute", hold: "Hold", record: "Record", keypad: "Keypad", key: "Key {key}", keys_sent: "Keys sent",
    call: "Call", call_contact: "Call {who}", number: "Number or SIP address", delete: "Delete last character",
    redial: "Redial", contacts: "Contacts", recent: "Recent calls", no_calls: "No calls yet", seen: "Mark as seen",
    missed_calls: "Missed calls: {count}", messages: "New messages: {count}", do_not_disturb: "Do not disturb",
    ready: "Ready", not_registered: "Not registered", offline: "The bridge can't be reached",
    missing: "Choose a line in the card's settings", is_calling: "{who} is calling", calling: "Calling {who}",
    dialing: "Calling", ringing: "Incoming call", in_call: "In call", on_hold: "On hold", muted: "Muted",
    talking_to: "In call with {who}", call_ended: "The call has ended", unknown: "Unknown caller", dismiss: "Close",
    camera: "Picture of the camera", incoming: "Incoming", outgoing: "Outgoing", missed: "Missed",
    unanswered: "Not answered", label_device_id: "Line", label_name: "Name", label_camera: "Camera at the door",
    label_camera_view: "Camera view", label_dial_pad: "Show the dial pad", label_popup: "Pop up when it rings",
    live: "Live", picture: "Pictures",
    help_popup: "On every dashboard, in each browser that has shown this card.",
    description: "Answer the door or the phone, open the door, and make calls.",
  },
  de: {
    answer: "Annehmen", reject: "Ablehnen", open_door: "Tür öffnen", door_opened: "Die Tür wurde geöffnet",
    hang_up: "Auflegen", mute: "Stumm", hold: "Halten", record: "Aufnehmen", keypad: "Tasten", key: "Taste {key}",
    keys_sent: "Gesendete Tasten", call: "Anrufen", call_contact: "{who} anrufen", number: "Nummer oder SIP-Adresse",
    delete: "Letztes Zeichen löschen", redial: "Wahlwiederholung", contacts: "Kontakte", recent: "Letzte Anrufe",
    no_calls: "Noch keine Anrufe", seen: "Als gesehen markieren", missed_calls: "Verpasste Anrufe: {count}",
    messages: "Neue Nachrichten: {count}", do_not_disturb: "Nicht stören", ready: "Bereit",
    not_registered: "Nicht registriert", offline: "Die Bridge ist nicht erreichbar",
    missing: "Wähle in den Einstellungen der Karte eine Leitung", is_calling: "{who} ruft an",
    calling: "{who} wird angerufen", dialing: "Ruft an", ringing: "Eingehender Anruf", in_call: "Im Gespräch",
    on_hold: "Gehalten", muted: "Stumm", talking_to: "Im Gespräch mit {who}", call_ended: "Das Gespräch ist beendet",
    unknown: "Unbekannter Anrufer", dismiss: "Schließen", camera: "Bild der Kamera", incoming: "Eingehend",
    outgoing: "Ausgehend", missed: "Verpasst", unanswered: "Nicht angenommen", label_device_id: "Leitung",
    label_name: "Name", label_camera: "Kamera an der Tür", label_camera_view: "Kameraansicht",
    label_dial_pad: "Wähltasten zeigen", label_popup: "Einblenden, wenn es klingelt", live: "Live", picture: "Bilder",
    help_popup: "Auf jedem Dashboard, in jedem Browser, der diese Karte gezeigt hat.",
    description: "Tür oder Telefon beantworten, die Tür öffnen und anrufen.",
  },
  fr: {
    answer: "Répondre", reject: "Refuser", open_door: "Ouvrir la porte", door_opened: "La porte a été ouverte",
    hang_up: "Raccrocher", mute: "Muet", hold: "Attente", record: "Enregistrer", keypad: "Clavier",
    key: "Touche {key}", keys_sent: "Touches envoyées", call: "Appeler", call_contact: "Appeler {who}",
    number: "Numéro ou adresse SIP", delete: "Effacer le dernier caractère", redial: "Rappeler", contacts: "Contacts",
    recent: "Appels récents", no_calls: "Aucun appel", seen: "Marquer comme vus",
    missed_calls: "Appels manqués : {count}", messages: "Nouveaux messages : {count}",
    do_not_disturb: "Ne pas déranger", ready: "Prêt", not_registered: "Non enregistré",
    offline: "La passerelle est injoignable", missing: "Choisissez une ligne dans les réglages de la carte",
    is_calling: "{who} appelle", calling: "Appel de {who}", dialing: "Appel en cours", ringing: "Appel entrant",
    in_call: "En communication", on_hold: "En attente", muted: "Muet", talking_to: "En communication avec {who}",
    call_ended: "L'appel est terminé", unknown: "Appelant inconnu", dismiss: "Fermer", camera: "Image de la caméra",
    incoming: "Entrant", outgoing: "Sortant", missed: "Manqué", unanswered: "Sans réponse", label_device_id: "Ligne",
    label_name: "Nom", label_camera: "Caméra de la porte", label_camera_view: "Vue de la caméra",
    label_dial_pad: "Afficher le clavier", label_popup: "Fenêtre quand ça sonne", live: "En direct", picture: "Images",
    help_popup: "Sur chaque tableau de bord, dans chaque navigateur qui a affiché cette carte.",
    description: "Répondre à la porte ou au téléphone, ouvrir la porte et appeler.",
  },
  nl: {
    answer: "Opnemen", reject: "Weigeren", open_door: "Deur openen", door_opened: "De deur is geopend",
    hang_up: "Ophangen", mute: "Dempen", hold: "Wachtstand", record: "Opnemen op band", keypad: "Toetsen",
    key: "Toets {key}", keys_sent: "Verzonden toetsen", call: "Bellen", call_contact: "{who} bellen",
    number: "Nummer of SIP-adres", delete: "Laatste teken wissen", redial: "Opnieuw bellen", contacts: "Contacten",
    recent: "Recente gesprekken", no_calls: "Nog geen gesprekken", seen: "Als gezien markeren",
    missed_calls: "Gemiste oproepen: {count}", messages: "Nieuwe berichten: {count}",
    do_not_disturb: "Niet storen", ready: "Gereed", not_registered: "Niet geregistreerd",
    offline: "De bridge is onbereikbaar", missing: "Kies een lijn in de instellingen van de kaart",
    is_calling: "{who} belt", calling: "{who} wordt gebeld", dialing: "Belt", ringing: "Inkomende oproep",
    in_call: "In gesprek", on_hold: "In de wacht", muted: "Gedempt", talking_to: "In gesprek met {who}",
    call_ended: "Het gesprek is beëindigd", unknown: "Onbekende beller", dismiss: "Sluiten",
    camera: "Beeld van de camera", incoming: "Inkomend", outgoing: "Uitgaand", missed: "Gemist",
    unanswered: "Niet opgenomen", label_device_id: "Lijn", label_name: "Naam", label_camera: "Camera bij de deur",
    label_camera_view: "Cameraweergave", label_dial_pad: "Kiestoetsen tonen", label_popup: "Venster tonen bij oproep",
    live: "Live", picture: "Foto's", help_popup: "Op elk dashboard, in elke browser die deze kaart heeft getoond.",
    description: "De deur of telefoon beantwoorden, de deur openen en bellen.",
  },
  es: {
    answer: "Contestar", reject: "Rechazar", open_door: "Abrir la puerta", door_opened: "Se ha abierto la puerta",
    hang_up: "Colgar", mute: "Silenciar", hold: "Retener", record: "Grabar", keypad: "Teclado", key: "Tecla {key}",
    keys_sent: "Teclas enviadas", call: "Llamar", call_contact: "Llamar a {who}", number: "Número o dirección SIP",
    delete: "Borrar el último carácter", redial: "Rellamar", contacts: "Contactos", recent: "Llamadas recientes",
    no_calls: "Aún no hay llamadas", seen: "Marcar como vistas", missed_calls: "Llamadas perdidas: {count}",
    messages: "Mensajes nuevos: {count}", do_not_disturb: "No molestar", ready: "Listo",
    not_registered: "No registrado", offline: "No se puede acceder al puente",
    missing: "Elige una línea en los ajustes de la tarjeta", is_calling: "Llama {who}", calling: "Llamando a {who}",
    dialing: "Llamando", ringing: "Llamada entrante", in_call: "En llamada", on_hold: "Retenida", muted: "Silenciado",
    talking_to: "En llamada con {who}", call_ended: "La llamada ha terminado", unknown: "Llamante desconocido",
    dismiss: "Cerrar", camera: "Imagen de la cámara", incoming: "Entrante", outgoing: "Saliente", missed: "Perdida",
    unanswered: "Sin respuesta", label_device_id: "Línea", label_name: "Nombre", label_camera: "Cámara de la puerta",
    label_camera_view: "Vista de la cámara", label_dial_pad: "Mostrar el teclado",
    label_popup: "Ventana cuando suena", live: "En directo", picture: "Imágenes",
    help_popup: "En todos los paneles, en cada navegador que haya mostrado esta tarjeta.",
    description: "Contestar a la puerta o al teléfono, abrir la puerta y llamar.",
  },
  pl: {
    answer: "Odbierz", reject: "Odrzuć", open_door: "Otwórz drzwi", door_opened: "Drzwi zostały otwarte",
    hang_up: "Rozłącz", mute: "Wycisz", hold: "Wstrzymaj", record: "Nagrywaj", keypad: "Klawiatura",
    key: "Klawisz {key}", keys_sent: "Wysłane klawisze", call: "Zadzwoń", call_contact: "Zadzwoń: {who}",
    number: "Numer lub adres SIP", delete: "Usuń ostatni znak", redial: "Wybierz ponownie", contacts: "Kontakty",
    recent: "Ostatnie połączenia", no_calls: "Brak połączeń", seen: "Oznacz jako obejrzane",
    missed_calls: "Nieodebrane połączenia: {count}", messages: "Nowe wiadomości: {count}",
    do_not_disturb: "Nie przeszkadzać", ready: "Gotowe", not_registered: "Niezarejestrowane",
    offline: "Mostek jest nieosiągalny", missing: "Wybierz linię w ustawieniach karty", is_calling: "Dzwoni {who}",
    calling: "Łączenie: {who}", dialing: "Łączenie", ringing: "Połączenie przychodzące", in_call: "W trakcie rozmowy",
    on_hold: "Wstrzymane", muted: "Wyciszone", talking_to: "Rozmowa: {who}", call_ended: "Rozmowa zakończona",
    unknown: "Nieznany rozmówca", dismiss: "Zamknij", camera: "Obraz z kamery", incoming: "Przychodzące",
    outgoing: "Wychodzące", missed: "Nieodebrane", unanswered: "Bez odpowiedzi", label_device_id: "Linia",
    label_name: "Nazwa", label_camera: "Kamera przy drzwiach", label_camera_view: "Widok kamery",
    label_dial_pad: "Pokaż klawiaturę", label_popup: "Okienko, gdy dzwoni", live: "Na żywo", picture: "Zdjęcia",
    help_popup: "Na każdym pulpicie, w każdej przeglądarce, która pokazała tę kartę.",
    description: "Odbieranie domofonu i telefonu, otwieranie drzwi i dzwonienie.",
  },
};

/**
 * A text in a language, English where there is no such translation.
 * @param {string | undefined} language as `de` or `de-CH`
 * @param {string} key
 * @param {Record<string, string | number>} [values] for the `{places}` in it
 */
function translate(language, key, values = {}) {
  const texts = TEXTS[(language ?? "en").split("-")[0].toLowerCase()] ?? TEXTS.en;
  return texts[key].replace(/\{(\w+)\}/g, (_place, name) => String(values[name]));
}

/** The language where no `hass` is at hand: Home Assistant writes it on the page. */
const pageLanguage = () => document.documentElement.lang || navigator.language;

// --- DOM helpers ---------------------------------------------------------------------------------------------------

/** Outlines in a square of 24. @type {Record<string, string>} */
const ICONS = {
  phone: "M7 4l3 5-2 2c1 2.5 2.5 4 5 5l2-2 5 3c-.5 2-2 3-4 3C10 20 4 14 4 8c0-2 1-3.5 3-4z",
  phone_down: "M3 13.5C5 10.5 8 9 12 9s7 1.5 9 4.5l-1.5 3-4.5-1.5v-2.5a9 9 0 0 0-6 0V15l-4.5 1.5z",
  door: "M5 21h14M7 21V3h10v18M13.5 12h.1",
  microphone_off: "M9 9V6a3 3 0 0 1 6 0v5m-.5 2.5A3 3 0 0 1 9 12M6 12a6 6 0 0 0 9.5 4.800M18 12v1M12 18v3M4 4l16 16",
  pause: "M8 5v14M16 5v14",
  record: "M12 7a5 5 0 1 0 .1 0z",
  keypad: "M6 6h.1M12 6h.1M18 6h.1M6 12h.1M12 12h.1M18 12h.1M6 18h.1M12 18h.1M18 18h.1",
  bell: "M12 4v1m-5 12V11a5 5 0 0 1 10 0v6l1.5 1.5h-13zM10.5 21h3",
  bell_off: "M12 4v1m-2.5 2A5 5 0 0 1 17 11v4m0 3.5H5.5L7 17v-6M10.5 21h3M4 4l16 16",
  delete: "M9 6h11v12H9l-5-6zM12 9.5l5 5m0-5l-5 5",
  redial: "M5 12a7 7 0 1 1 2.200 5M5 12l-2-2m2 2l2.5-2",
  incoming: "M18 6L7 17m0-7v7h7",
  outgoing: "M6 18L17 7m-7 0h7v7",
  missed: "M5 7l7 7 7-7M5 12V7h5",
  close: "M6 6l12 12M18 6L6 18",
};

/**
 * An element; `on…` properties are listeners, true and false set and leave an attribute.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, any>} [properties]
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
function element(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children);
  return node;
}

/** @param {string} name of `ICONS` */
function icon(name) {
  const namespace = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(namespace, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(namespace, "path");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

/**
 * A button that does one thing at a time: while `act` runs it is busy and takes no press.
 * @param {string} label
 * @param {string | null} symbol
 * @param {() => unknown} act
 * @param {Record<string, any>} [properties]
 */
function button(label, symbol, act, properties = {}) {
  const onclick = async () => {
    if (node.ariaBusy === "true") return;
    node.ariaBusy = "true";
    try {
      await act();
    } finally {
      node.ariaBusy = "false";
    }
  };
  const node = element("button", { type: "button", onclick, ...properties }, ...(symbol ? [icon(symbol)] : []));
  node.append(element("span", {}, label));
  return node;
}

/**
 * Twelve keys, as on a phone.
 * @param {SipPhoneCard} card
 * @param {(key: string) => void} press
 */
function keypad(card, press) {
  const keys = KEYS.map((key, place) =>
    element(
      "button",
      { type: "button", class: "key", "aria-label": card.text("key", { key }), onclick: () => press(key) },
      key,
      element("small", {}, LETTERS[place]),
    ),
  );
  return element("div", { class: "keypad", role: "group", "aria-label": card.text("keypad") }, ...keys);
}

/** @param {number} seconds @returns {string} as 1:05 or 1:01:05 */
function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const parts = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const shown = parts[0] ? parts : parts.slice(1);
  return shown.map((part, place) => (place ? String(part).padStart(2, "0") : part)).join(":");
}

/** Sets a text only when it differs, so that nothing is read out twice. @param {Element} node @param {string} text */
function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// --- what Home Assistant knows of a line ----------------------------------------------------------------------------

/** What the card needs of a line, by the domain and the translation key of its entity. */
const ROLES = /** @type {const} */ ({
  answer: "button.answer",
  reject: "button.reject",
  hangUp: "button.hang_up",
  openDoor: "button.open_door",
  redial: "button.redial",
  seen: "button.reset_missed_calls",
  ringing: "binary_sensor.ringing",
  inCall: "binary_sensor.in_call",
  callState: "sensor.call_state",
  remoteParty: "sensor.remote_party",
  answeredAt: "sensor.answered_at",
  lastCall: "sensor.last_call",
  missedCalls: "sensor.missed_calls",
  voicemail: "sensor.voicemail",
  registration: "sensor.registration",
  doorbell: "event.doorbell",
  contact: "select.contact",
  mute: "switch.mute",
  hold: "switch.hold",
  record: "switch.record",
  doNotDisturb: "switch.do_not_disturb",
});
/** @typedef {keyof typeof ROLES} Role */

/** Of each state of the entity registry, so that it is walked once. @type {WeakMap<object, Map<string, Map<string, string>>>} */
const registries = new WeakMap();

/**
 * Our entities by device: `domain.translation_key` to the entity's id.
 * @param {Record<string, EntityEntry>} entities
 */
function entitiesByDevice(entities) {
  let found = registries.get(entities);
  if (!found) {
    found = new Map();
    for (const { entity_id: id, device_id: device, platform, translation_key: key } of Object.values(entities)) {
      if (platform !== PLATFORM || !device || !key) continue;
      const ofDevice = found.get(device) ?? new Map();
      found.set(device, ofDevice.set(`${id.split(".")[0]}.${key}`, id));
    }
    registries.set(entities, found);
  }
  return found;
}

/** One line, as a `hass` of one moment tells it. */
class Line {
  /** @param {Hass} hass @param {CardConfig} config */
  constructor(hass, config) {
    this.hass = hass;
    this.config = config;
    this.device = config.device_id ?? hass.entities[config.entity ?? ""]?.device_id ?? "";
    this.entities = entitiesByDevice(hass.entities).get(this.device) ?? new Map();
  }

  /** The devices that are lines; a bridge is none. @param {Hass} hass */
  static devices(hass) {
    const isLine = (/** @type {Map<string, string>} */ entities) => entities.has(ROLES.callState);
    return [...entitiesByDevice(hass.entities)].filter(([, entities]) => isLine(entities)).map(([device]) => device);
  }

  /** @param {Role} role */
  id(role) {
    return this.entities.get(ROLES[role]);
  }

  /** @param {Role} role @returns {EntityState | undefined} */
  entity(role) {
    return this.hass.states[this.id(role) ?? ""];
  }

  /** The state, undefined where there is none that means anything. @param {Role} role */
  value(role) {
    const state = this.entity(role)?.state;
    return state === "unavailable" || state === "unknown" ? undefined : state;
  }

  /** Whether it can be used now. @param {Role} role */
  has(role) {
    const state = this.entity(role)?.state;
    return state !== undefined && state !== "unavailable";
  }

  /** @param {Role} role */
  isOn(role) {
    return this.value(role) === "on";
  }

  /** @returns {Phase} */
  get phase() {
    if (!this.id("callState")) return "missing";
    const state = this.value("callState");
    if (state === undefined) return "offline";
    if (this.isOn("inCall")) return "talking";
    if (this.isOn("ringing")) return "ringing";
    return state === "idle" ? "idle" : "dialing";
  }

  /** Whether another call comes in during one. */
  get isWaiting() {
    return this.phase === "talking" && this.isOn("ringing");
  }

  get name() {
    const device = this.hass.devices[this.device];
    return this.config.name || device?.name_by_user || device?.name || "";
  }

  /** Who the call is with. */
  get party() {
    return this.value("remoteParty") ?? this.text("unknown");
  }

  /** Who rang last. */
  get caller() {
    const attributes = this.entity("doorbell")?.attributes ?? {};
    return attributes.caller_name ?? attributes.caller_number ?? this.text("unknown");
  }

  /** The camera at the door: the card's, else that of the door station which the call is with. @returns {string | undefined} */
  get camera() {
    return this.config.camera || (this.entity("remoteParty")?.attributes.camera ?? undefined);
  }

  /** @param {Role} role */
  count(role) {
    return Number(this.value(role) ?? 0);
  }

  /** @returns {string[]} */
  get contacts() {
    return this.has("contact") ? (this.entity("contact")?.attributes.options ?? []) : [];
  }

  /** Whether a bare number means something: to a registrar it does. */
  get hasRegistrar() {
    return this.id("registration") !== undefined && this.value("registration") !== "disabled";
  }

  get isUnregistered() {
    return this.hasRegistrar && this.value("registration") !== "registered";
  }

  /** @param {string} key @param {Record<string, string | number>} [values] */
  text(key, values) {
    return translate(this.hass.language, key, values);
  }

  /** All that the card shows hangs on these objects; Home Assistant makes a new one for each change. */
  get parts() {
    const { states } = this.hass;
    const ours = [...this.entities.values()].map((id) => states[id]);
    return [...ours, states[this.camera ?? ""], this.hass.entities, this.hass.devices, this.hass.language];
  }
}

/**
 * @typedef {{time: string, direction: string, result: string, who: string, number?: string, uri?: string, talked: number}} CallRecord
 * @param {string} time @param {Record<string, any>} attributes
 * @returns {CallRecord[]} one, or none where it is no record of a call
 */
function callRecord(time, attributes) {
  if (!attributes.result || Number.isNaN(Date.parse(time))) return [];
  const number = attributes.remote_number ?? undefined;
  const uri = attributes.remote_uri ?? undefined;
  const { direction, result, talk_seconds: talked } = attributes;
  const who = attributes.remote_name ?? number ?? uri ?? "";
  return [{ time, direction, result, who, number, uri, talked: talked ?? 0 }];
}

/**
 * The last calls, newest first: those in Home Assistant's history, and at least the last one.
 * @param {Line} line
 * @returns {Promise<CallRecord[]>}
 */
async function recentCalls(line) {
  const id = line.id("lastCall");
  const last = line.entity("lastCall");
  if (!id || !last) return [];
  /** @type {CallRecord[]} */
  let past = [];
  if (line.hass.callWS && line.hass.config?.components?.includes("history")) {
    const since = new Date(Date.now() - RECENT_DAYS * 24 * 3600 * 1000).toISOString();
    const question = { type: "history/history_during_period", start_time: since, entity_ids: [id] };
    const options = { minimal_response: false, no_attributes: false, significant_changes_only: false };
    const history = await line.hass.callWS({ ...question, ...options });
    past = (history[id] ?? []).flatMap((/** @type {any} */ each) => callRecord(each.s, each.a ?? {}));
  }
  const calls = new Map([...past, ...callRecord(last.state, last.attributes)].map((call) => [call.time, call]));
  return [...calls.values()].sort((a, b) => Date.parse(b.time) - Date.parse(a.time)).slice(0, RECENT_CALLS);
}

/** A point in time as this user wants to read it. @param {Hass} hass @param {string} time */
function shownTime(hass, time) {
  const { locale } = hass;
  /** @type {Intl.DateTimeFormatOptions} */
  const options = { day: "numeric", month: "short", hour: "numeric", minute: "2-digit" };
  if (locale?.time_format === "12" || locale?.time_format === "24") options.hour12 = locale.time_format === "12";
  if (locale?.time_zone === "server") options.timeZone = hass.config?.time_zone;
  return new Intl.DateTimeFormat(locale?.language ?? hass.language, options).format(new Date(time));
}

// --- the door's camera ----------------------------------------------------------------------------------------------

/** The camera's picture while a call needs it: live by Home Assistant's own card, else one picture after the other. */
class CameraPicture {
  /** @param {SipPhoneCard} card */
  constructor(card) {
    this.card = card;
    this.root = element("div", { class: "camera", hidden: true });
    /** @type {any} */
    this.live = null;
    /** @type {HTMLImageElement | null} */
    this.image = null;
    this.timer = 0;
    /** @type {string | undefined} */
    this.camera = undefined;
  }

  /** @param {Line} line */
  update(line) {
    if (line.camera !== this.camera) {
      this.stop();
      this.camera = line.camera;
    }
    const state = line.hass.states[this.camera ?? ""];
    this.root.hidden = !state || state.state === "unavailable";
    if (this.live) this.live.hass = line.hass;
    if (this.root.hidden || this.live || this.image) return;
    const helpers = /** @type {any} */ (window).loadCardHelpers;
    if (helpers && line.config.camera_view !== "picture") this.startLive(helpers);
    else this.startPictures();
  }

  /** @param {() => Promise<any>} loadCardHelpers what Home Assistant gives to custom cards */
  async startLive(loadCardHelpers) {
    const entity = this.camera;
    const view = { camera_view: "live", show_name: false, show_state: false, tap_action: { action: "none" } };
    const wanted = {};
    this.live = wanted;
    const live = (await loadCardHelpers()).createCardElement({ type: "picture-entity", entity, ...view });
    if (this.live !== wanted) return; // it ended, or another door rings
    live.hass = this.card.line.hass;
    this.live = live;
    this.root.replaceChildren(live);
  }

  startPictures() {
    const later = () => {
      if (this.image === image) this.timer = window.setTimeout(() => this.load(), PICTURE_MS);
    };
    const image = element("img", { alt: this.card.text("camera"), onload: later, onerror: later });
    this.image = image;
    this.root.replaceChildren(image);
    this.load();
  }

  load() {
    const picture = this.card.line.hass.states[this.camera ?? ""]?.attributes.entity_picture;
    if (!this.image || !picture) return;
    this.image.src = `${picture}${picture.includes("?") ? "&" : "?"}time=${Date.now()}`;
  }

  /** Leaves the door to which it looked. */
  stop() {
    window.clearTimeout(this.timer);
    this.live = null;
    this.image = null;
    this.root.replaceChildren();
  }
}

// --- views: one for each phase of a call ----------------------------------------------------------------------------

/**
 * Nothing to be done: no line was chosen, or its bridge is away.
 * @param {SipPhoneCard} card @param {string} key of the text
 * @returns {View}
 */
function noticeView(card, key) {
  const heading = element("h2", { tabindex: -1 });
  const notice = element("p", { class: "status" }, icon("phone_down"), card.text(key));
  const root = element("div", { class: "view notice" }, heading, notice);
  return {
    root,
    heading,
    update(line) {
      setText(heading, line.name || "SIP Phone");
    },
  };
}

/**
 * Contacts, a dial pad, the last calls.
 * @param {SipPhoneCard} card
 * @returns {View}
 */
function idleView(card) {
  const heading = element("h2", { tabindex: -1 });
  const status = element("p", { class: "status" });
  const quiet = button(card.text("do_not_disturb"), "bell_off", () => card.toggle("doNotDisturb"), { class: "chip" });
  const news = element("div", { class: "news" });
  const contacts = contactList(card);
  const dialPad = dialPadOf(card);
  const recent = recentList(card);
  const root = element(
    "div",
    { class: "view idle" },
    element("header", {}, element("div", {}, heading, status), quiet),
    news,
    element("div", { class: "columns" }, element("div", {}, contacts.root, recent.root), dialPad.root),
  );
  let shownNews = "";
  return {
    root,
    heading,
    update(line) {
      setText(heading, line.name);
      setText(status, card.text(line.isUnregistered ? "not_registered" : "ready"));
      status.classList.toggle("problem", line.isUnregistered);
      quiet.hidden = !line.has("doNotDisturb");
      quiet.ariaPressed = String(line.isOn("doNotDisturb"));
      const [missed, messages] = [line.count("missedCalls"), line.count("voicemail")];
      if (shownNews !== `${missed} ${messages}`) {
        shownNews = `${missed} ${messages}`;
        const seen = button(card.text("seen"), null, () => card.press("seen"), { class: "chip" });
        const lines = [
          ...(missed ? [element("p", {}, icon("missed"), card.text("missed_calls", { count: missed }), seen)] : []),
          ...(messages ? [element("p", {}, icon("record"), card.text("messages", { count: messages }))] : []),
        ];
        news.replaceChildren(...lines);
      }
      contacts.update(line);
      dialPad.update(line);
      recent.update(line);
    },
  };
}

/** @param {SipPhoneCard} card */
function contactList(card) {
  const list = element("ul", { class: "contacts" });
  const root = element("section", { "aria-label": card.text("contacts") }, element("h3", {}, card.text("contacts")), list);
  let shown = "";
  return {
    root,
    /** @param {Line} line */
    update({ contacts }) {
      root.hidden = contacts.length === 0;
      if (shown === JSON.stringify(contacts)) return;
      shown = JSON.stringify(contacts);
      const items = contacts.map((who) => {
        const label = card.text("call_contact", { who });
        const call = button(who, "phone", () => card.dial(who), { class: "contact", "aria-label": label });
        return element("li", {}, call);
      });
      list.replaceChildren(...items);
    },
  };
}

/** @param {SipPhoneCard} card */
function dialPadOf(card) {
  const label = card.text("number");
  const properties = { type: "text", inputmode: "tel", autocomplete: "off", spellcheck: "false", maxlength: 255 };
  const input = element("input", { ...properties, "aria-label": label, placeholder: label });
  input.value = card.draft;
  const changed = () => {
    card.draft = input.value;
    call.disabled = !input.value.trim();
  };
  input.addEventListener("input", changed);
  const type = (/** @type {string} */ text) => {
    input.value = text;
    changed();
  };
  const remove = element(
    "button",
    { type: "button", class: "plain", "aria-label": card.text("delete"), onclick: () => type(input.value.slice(0, -1)) },
    icon("delete"),
  );
  const dial = async () => {
    if (await card.dial(input.value.trim())) type("");
  };
  const call = button(card.text("call"), "phone", dial, { class: "action good" });
  const redial = button(card.text("redial"), "redial", () => card.press("redial"), { class: "action" });
  const onsubmit = (/** @type {Event} */ event) => {
    event.preventDefault();
    if (!call.disabled) call.click();
  };
  const root = element(
    "form",
    { class: "dial-pad", onsubmit },
    element("div", { class: "number" }, input, remove),
    keypad(card, (key) => type(input.value + key)),
    element("div", { class: "actions" }, call, redial),
  );
  changed();
  return {
    root,
    /** @param {Line} line */
    update(line) {
      root.hidden = line.config.dial_pad === false;
      redial.hidden = !line.has("redial");
    },
  };
}

/** @param {SipPhoneCard} card */
function recentList(card) {
  const list = element("ul", { class: "recent" });
  const root = element("section", { "aria-label": card.text("recent") }, element("h3", {}, card.text("recent")), list);
  /** @type {EntityState | undefined | null} */
  let shown = null;
  return {
    root,
    /** @param {Line} line */
    async update(line) {
      const last = line.entity("lastCall");
      if (shown === last) return;
      shown = last;
      const calls = await recentCalls(line);
      if (shown !== last) return; // another one came meanwhile
      const items = calls.map((call) => recentItem(card, line, call));
      list.replaceChildren(...(items.length ? items : [element("li", { class: "status" }, card.text("no_calls"))]));
    },
  };
}

const TAKEN_ELSEWHERE = ["declined", "answered_elsewhere"];

/** @param {SipPhoneCard} card @param {Line} line @param {CallRecord} call */
function recentItem(card, line, call) {
  const isMissed = call.direction === "incoming" && !call.talked && !TAKEN_ELSEWHERE.includes(call.result);
  const kind = isMissed ? "missed" : call.direction === "outgoing" ? "outgoing" : "incoming";
  const went = call.talked ? clock(call.talked) : kind === "outgoing" ? card.text("unanswered") : "";
  const who = call.who || card.text("unknown");
  const details = [card.text(kind), shownTime(line.hass, call.time), went].filter(Boolean).join(" · ");
  const row = [icon(kind), element("span", {}, element("b", {}, who), element("small", {}, details))];
  const to = (line.hasRegistrar && call.number) || call.uri; // a bare number means nothing without a registrar
  if (!to) return element("li", { class: kind }, ...row);
  const label = `${card.text("call_contact", { who })} (${details})`;
  const back = button("", null, () => card.dial(to), { class: "contact", "aria-label": label });
  back.replaceChildren(...row);
  return element("li", { class: kind }, back);
}

/**
 * Somebody is at the door, or calls.
 * @param {SipPhoneCard} card
 * @returns {View}
 */
function ringingView(card) {
  const heading = element("h2", { tabindex: -1 });
  const status = element("p", { class: "status" }, icon("bell"), card.text("ringing"));
  const camera = new CameraPicture(card);
  const answer = button(card.text("answer"), "phone", () => card.answer(), { class: "action good" });
  const open = openDoorButton(card);
  const reject = button(card.text("reject"), "phone_down", () => card.press("reject"), { class: "action bad" });
  const root = element(
    "div",
    { class: "view ringing" },
    camera.root,
    element(
      "div",
      { class: "controls" },
      element("div", { class: "who" }, heading, status),
      element("div", { class: "actions" }, answer, open, reject),
    ),
  );
  return {
    root,
    heading,
    update(line) {
      setText(heading, line.party);
      answer.hidden = !line.has("answer");
      reject.hidden = !line.has("reject");
      open.hidden = !line.has("openDoor");
      camera.update(line);
    },
    end: () => camera.stop(),
  };
}

/** @param {SipPhoneCard} card */
function openDoorButton(card) {
  const act = async () => {
    if (!(await card.press("openDoor"))) return;
    card.announce(card.text("door_opened"));
    card.toast(card.text("door_opened"));
  };
  return button(card.text("open_door"), "door", act, { class: "action" });
}

/**
 * A call that is talked in, or one to somebody who has not answered yet.
 * @param {SipPhoneCard} card
 * @returns {View}
 */
function callView(card) {
  const heading = element("h2", { tabindex: -1 });
  const timer = element("span", { class: "timer", role: "timer" });
  const status = element("span");
  const camera = new CameraPicture(card);
  const waiting = waitingBanner(card);
  const sent = element("output", { class: "sent", "aria-label": card.text("keys_sent") });
  const press = (/** @type {string} */ key) => {
    sent.value = `${sent.value}${key}`.slice(-24);
    card.sendKey(key);
  };
  const keys = element("div", { class: "keys", id: "keys", hidden: true }, sent, keypad(card, press));
  const showKeys = button(card.text("keypad"), "keypad", () => unfold(keys.hidden), {
    class: "action",
    "aria-controls": "keys",
  });
  const unfold = (/** @type {boolean} */ isOpen) => {
    keys.hidden = !isOpen;
    showKeys.ariaExpanded = String(isOpen);
  };
  const toggles = /** @type {const} */ ([["mute", "microphone_off"], ["hold", "pause"], ["record", "record"]]).map(
    ([role, symbol]) => ({ role, node: button(card.text(role), symbol, () => card.toggle(role), { class: "action" }) }),
  );
  const open = openDoorButton(card);
  const hangUp = button(card.text("hang_up"), "phone_down", () => card.press("hangUp"), { class: "action bad" });
  const onkeydown = (/** @type {KeyboardEvent} */ event) => {
    const isPlain = !event.ctrlKey && !event.altKey && !event.metaKey && !event.repeat;
    if (isPlain && KEYS.includes(event.key) && card.line.phase === "talking") press(event.key);
  };
  const root = element(
    "div",
    { class: "view call", onkeydown },
    waiting.root,
    camera.root,
    element(
      "div",
      { class: "controls" },
      element("div", { class: "who" }, heading, element("p", { class: "status" }, timer, status)),
      element("div", { class: "actions" }, ...toggles.map(({ node }) => node), showKeys, open, hangUp),
      keys,
    ),
  );
  const tick = () => {
    const since = Date.parse(card.line.value("answeredAt") ?? "");
    const isTalking = card.line.phase === "talking" && !Number.isNaN(since);
    setText(timer, isTalking ? clock((Date.now() - since) / 1000) : "");
  };
  const ticking = window.setInterval(tick, 1000);
  unfold(false);
  return {
    root,
    heading,
    update(line) {
      const isTalking = line.phase === "talking";
      const facts = [line.isOn("hold") ? "on_hold" : "in_call", ...(line.isOn("mute") ? ["muted"] : [])];
      setText(heading, line.party);
      setText(status, isTalking ? facts.map((fact) => card.text(fact)).join(" · ") : card.text("dialing"));
      for (const { role, node } of toggles) {
        node.hidden = !line.has(role);
        node.ariaPressed = String(line.isOn(role));
      }
      showKeys.hidden = !isTalking;
      open.hidden = !line.has("openDoor");
      hangUp.hidden = !line.has("hangUp");
      waiting.update(line);
      camera.update(line);
      tick();
    },
    end() {
      window.clearInterval(ticking);
      camera.stop();
    },
  };
}

/** Another call that comes in during one. @param {SipPhoneCard} card */
function waitingBanner(card) {
  const who = element("p");
  const root = element(
    "div",
    { class: "waiting", role: "group", "aria-label": card.text("ringing"), hidden: true },
    icon("bell"),
    who,
    button(card.text("answer"), "phone", () => card.answer(), { class: "action good" }),
    button(card.text("reject"), "phone_down", () => card.press("reject"), { class: "action bad" }),
  );
  return {
    root,
    /** @param {Line} line */
    update(line) {
      root.hidden = !line.isWaiting;
      setText(who, line.isWaiting ? card.text("is_calling", { who: line.caller }) : "");
    },
  };
}

/** @type {Record<Phase, (card: SipPhoneCard) => View>} */
const VIEWS = {
  missing: (card) => noticeView(card, "missing"),
  offline: (card) => noticeView(card, "offline"),
  idle: idleView,
  ringing: ringingView,
  dialing: callView,
  talking: callView,
};

// --- looks ----------------------------------------------------------------------------------------------------------

const STYLES = new CSSStyleSheet();
STYLES.replaceSync(`
  :host {
    display: block; container-type: inline-size; color: var(--primary-text-color, #1c1c1c);
    font-family: var(--ha-font-family-body, Roboto, sans-serif); line-height: 1.4;
    --good: var(--sip-phone-card-good-color, #1b7d34); --bad: var(--sip-phone-card-bad-color, #c62828);
    --line: var(--divider-color, #e0e0e0); --soft: var(--secondary-background-color, #f2f2f2);
    --quiet: var(--secondary-text-color, #5a5a5a); --accent: var(--primary-color, #0277bd);
  }
  [hidden] { display: none !important; }
  .card {
    box-sizing: border-box; padding: 16px; overflow: hidden;
    background: var(--ha-card-background, var(--card-background-color, #fff));
    border: var(--ha-card-border-width, 1px) solid var(--ha-card-border-color, var(--line));
    border-radius: var(--ha-card-border-radius, 12px); box-shadow: var(--ha-card-box-shadow, none);
  }
  .card.ringing { border-color: var(--good); box-shadow: 0 0 0 2px var(--good); }
  .heard { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
  h2 { margin: 0; font-size: 1.4em; font-weight: 500; overflow-wrap: anywhere; }
  h2:focus { outline: none; }
  h3 { margin: 16px 0 4px; font-size: 0.9em; font-weight: 500; color: var(--quiet); }
  p { margin: 0; }
  ul { margin: 0; padding: 0; list-style: none; }
  small { color: var(--quiet); }
  svg { width: 24px; height: 24px; flex: none; fill: none; stroke: currentColor; stroke-width: 2;
    stroke-linecap: round; stroke-linejoin: round; }
  header { display: flex; justify-content: space-between; align-items: start; gap: 8px; }
  .status { display: flex; align-items: center; gap: 8px; color: var(--quiet); }
  .status.problem { color: var(--error-color, var(--bad)); font-weight: 500; }
  .status .timer:empty { display: none; }
  .timer { font-variant-numeric: tabular-nums; font-size: 1.3em; color: var(--primary-text-color, #1c1c1c); }

  button, input { font: inherit; color: inherit; box-sizing: border-box; min-height: 44px; border-radius: 10px; }
  button { border: 0; background: var(--soft); cursor: pointer; touch-action: manipulation; }
  button:focus-visible, input:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
  button:hover { filter: brightness(0.96); }
  button:disabled { opacity: 0.5; cursor: default; }
  button[aria-busy="true"] { opacity: 0.6; cursor: progress; }
  button[aria-pressed="true"] { background: var(--primary-text-color, #1c1c1c); color: var(--card-background-color, #fff); }
  .plain { background: none; padding: 0 12px; }
  .chip { display: inline-flex; align-items: center; gap: 6px; padding: 0 12px; }
  .action { display: flex; flex-direction: column; align-items: center; justify-content: center; gap: 4px;
    min-height: 64px; padding: 8px; font-weight: 500; overflow-wrap: anywhere; }
  .action.good { background: var(--good); color: #fff; }
  .action.bad { background: var(--bad); color: #fff; }
  .actions { display: grid; grid-template-columns: repeat(auto-fit, minmax(88px, 1fr)); gap: 8px; margin-top: 16px; }
  .dial-pad .action { flex-direction: row; min-height: 52px; }

  .news p { display: flex; align-items: center; flex-wrap: wrap; gap: 8px; margin-top: 8px; }
  .contacts { display: grid; grid-template-columns: repeat(auto-fill, minmax(132px, 1fr)); gap: 8px; }
  .contact { display: flex; align-items: center; gap: 10px; width: 100%; padding: 4px 12px; text-align: start; }
  .contact span { overflow-wrap: anywhere; }
  .recent li { display: flex; align-items: center; gap: 10px; min-height: 44px; }
  .recent li > svg { margin-inline-start: 12px; }
  .recent .contact { background: none; }
  .recent b { display: block; font-weight: 500; overflow-wrap: anywhere; }
  .recent .missed svg { color: var(--error-color, var(--bad)); }
  .number { display: flex; gap: 8px; margin-top: 16px; }
  input { flex: 1; min-width: 0; padding: 0 12px; font-size: 1.1em; border: 1px solid var(--quiet); background: none; }
  input::placeholder { color: var(--quiet); opacity: 1; }
  .keypad { display: grid; grid-template-columns: repeat(3, 1fr); gap: 8px; margin-top: 8px; }
  .key { display: flex; flex-direction: column; align-items: center; justify-content: center; min-height: 52px;
    font-size: 1.25em; line-height: 1.1; }
  .key small { font-size: 0.5em; letter-spacing: 0.1em; min-height: 1em; }
  .sent { display: block; min-height: 1.5em; margin-top: 12px; text-align: center; letter-spacing: 0.2em;
    overflow-wrap: anywhere; }
  .notice .status { margin-top: 8px; }

  .camera { margin: -16px -16px 16px; background: #000; aspect-ratio: 16 / 9; overflow: hidden; }
  .camera img { display: block; width: 100%; height: 100%; object-fit: contain; }
  .who .status svg { color: var(--good); }
  .waiting { display: grid; grid-template-columns: auto 1fr auto auto; align-items: center; gap: 8px; padding: 8px;
    margin-bottom: 16px; border: 2px solid var(--good); border-radius: 10px; }
  .waiting .action { min-height: 48px; }

  @container (min-width: 560px) {
    .columns { display: grid; grid-template-columns: 1fr minmax(240px, 300px); gap: 24px; align-items: start; }
    .columns > :only-child, .columns:has(> [hidden]) { grid-template-columns: 1fr; display: block; }
    .ringing:has(> .camera:not([hidden])), .call:has(> .camera:not([hidden])) {
      display: grid; grid-template-columns: 3fr 2fr; gap: 16px; align-items: center;
    }
    .waiting { grid-column: 1 / -1; margin: 0; }
    .camera { margin: 0; border-radius: 10px; }
    .action { min-height: 76px; }
  }
  @media (prefers-reduced-motion: no-preference) {
    .ringing .status svg { animation: shake 1s ease-in-out infinite; transform-origin: 50% 15%; }
    @keyframes shake { 0%, 40%, 100% { rotate: 0deg; } 10%, 30% { rotate: 14deg; } 20% { rotate: -14deg; } }
  }
  @media (forced-colors: active) { button { border: 1px solid ButtonText; } }
`);

// --- the card -------------------------------------------------------------------------------------------------------

/** The cards on the page. @type {Set<SipPhoneCard>} */
const cards = new Set();

class SipPhoneCard extends HTMLElement {
  constructor() {
    super();
    /** @type {CardConfig} */
    this.config = {};
    /** @type {Line} */
    this.line = /** @type {any} */ (null); // from the first `hass` on
    this.draft = ""; // what was typed into the dial pad, over a call that came in between
    this.preview = false; // Home Assistant sets it in its editor and card picker
    this.isPopup = false;
    /** @type {Phase | null} */
    this.phase = null;
    /** @type {View | null} */
    this.view = null;
    /** @type {any[]} */
    this.parts = [];
    this.unsentKeys = "";
    this.isSendingKeys = false;
    this.frame = element("div", { class: "card" });
    this.alert = element("div", { class: "heard", role: "alert" });
    this.notice = element("div", { class: "heard", role: "status" });
    const root = this.attachShadow({ mode: "open" });
    root.adoptedStyleSheets = [STYLES];
    root.append(this.frame, this.alert, this.notice);
  }

  /** @param {CardConfig} config */
  setConfig(config) {
    for (const key of /** @type {const} */ (["device_id", "entity", "name", "camera"])) {
      if (config[key] !== undefined && typeof config[key] !== "string") throw new Error(`${key} must be a text`);
    }
    this.config = config;
    this.endView();
    if (this.line) this.hass = this.line.hass;
    if (this.isConnected) this.rememberPopup();
  }

  /** @param {Hass} hass */
  set hass(hass) {
    const line = new Line(hass, this.config);
    const { parts } = line;
    const isSame = this.view && parts.length === this.parts.length && parts.every((part, i) => part === this.parts[i]);
    const isRelabelled = this.line && this.line.hass.language !== hass.language;
    this.line = line;
    this.parts = parts;
    if (isSame) return;
    if (isRelabelled) this.endView();
    this.show(line);
  }

  connectedCallback() {
    cards.add(this);
    if (this.line && !this.view) this.show(this.line);
    this.rememberPopup();
  }

  disconnectedCallback() {
    cards.delete(this);
    this.endView();
  }

  getCardSize() {
    return 7;
  }

  getGridOptions() {
    return { columns: 12, min_columns: 6, rows: "auto" };
  }

  /** @param {Hass} hass */
  static getStubConfig(hass) {
    const [device] = Line.devices(hass);
    return device ? { device_id: device } : {};
  }

  static getConfigForm() {
    const text = (/** @type {string} */ key) => translate(pageLanguage(), key);
    const views = ["live", "picture"].map((value) => ({ value, label: text(value) }));
    const line = { integration: PLATFORM };
    return {
      schema: [
        {
          name: "device_id",
          required: true,
          selector: { device: { filter: line, entity: { ...line, domain: "event", device_class: "doorbell" } } },
        },
        { name: "name", selector: { text: {} } },
        { name: "camera", selector: { entity: { domain: "camera" } } },
        { name: "camera_view", default: "live", selector: { select: { mode: "dropdown", options: views } } },
        { name: "dial_pad", default: true, selector: { boolean: {} } },
        { name: "popup", default: false, selector: { boolean: {} } },
      ],
      computeLabel: (/** @type {{name: string}} */ { name }) => text(`label_${name}`),
      computeHelper: (/** @type {{name: string}} */ { name }) => (name === "popup" ? text("help_popup") : undefined),
    };
  }

  // --- for the views

  /** @param {string} key @param {Record<string, string | number>} [values] */
  text(key, values) {
    return this.line.text(key, values);
  }

  /**
   * Runs an action; whether it succeeded. If not, Home Assistant shows the action's message by itself.
   * @param {string} domain @param {string} service @param {object} data @param {object} [target]
   */
  async act(domain, service, data, target) {
    try {
      await this.line.hass.callService(domain, service, data, target);
    } catch {
      return false;
    }
    return true;
  }

  /** Presses a button of the line. @param {Role} role */
  press(role) {
    return this.act("button", "press", {}, { entity_id: this.line.id(role) });
  }

  /** Turns a switch of the line. @param {Role} role */
  toggle(role) {
    const service = this.line.isOn(role) ? "turn_off" : "turn_on";
    return this.act("switch", service, {}, { entity_id: this.line.id(role) });
  }

  async answer() {
    if (await this.press("answer")) this.dispatchEvent(new CustomEvent("sip-phone-answered"));
  }

  /** @param {string} to a number, a SIP address, or a contact's name */
  dial(to) {
    return this.act(PLATFORM, "dial", { device_id: this.line.device, to });
  }

  /** Sends a key after those that are still on their way, in their order. @param {string} key */
  async sendKey(key) {
    this.unsentKeys += key;
    if (this.isSendingKeys) return;
    this.isSendingKeys = true;
    while (this.unsentKeys) {
      const digits = this.unsentKeys;
      this.unsentKeys = "";
      const isSent = await this.act(PLATFORM, "send_dtmf", { device_id: this.line.device, digits });
      if (!isSent) this.unsentKeys = ""; // a code with a gap in it would be another code
    }
    this.isSendingKeys = false;
  }

  /** Has a screen reader say something when it is free. @param {string} text */
  announce(text) {
    setText(this.notice, text);
  }

  /** @param {string} message */
  toast(message) {
    this.dispatchEvent(new CustomEvent("hass-notification", { detail: { message }, bubbles: true, composed: true }));
  }

  // --- inside

  /** @param {Line} line */
  show(line) {
    const { phase } = line;
    if (!this.view || (phase !== this.phase && VIEWS[phase] !== VIEWS[this.phase ?? "missing"])) {
      const hadFocus = this.shadowRoot?.activeElement != null;
      this.view?.end?.();
      this.view = VIEWS[phase](this);
      this.frame.replaceChildren(this.view.root);
      if (hadFocus) this.view.heading.focus(); // not a button: who types must not answer by accident
    }
    this.frame.classList.toggle("ringing", phase === "ringing");
    this.view.update(line);
    this.tell(line, this.phase);
    this.phase = phase;
  }

  /** Says what changed. @param {Line} line @param {Phase | null} before */
  tell(line, before) {
    const rings = line.phase === "ringing" || line.isWaiting;
    const who = line.isWaiting ? line.caller : line.party;
    setText(this.alert, rings ? this.text("is_calling", { who }) : "");
    if (line.phase === before) return;
    if (line.phase === "talking") this.announce(this.text("talking_to", { who: line.party }));
    else if (line.phase === "dialing") this.announce(this.text("calling", { who: line.party }));
    else if (line.phase === "offline") this.announce(this.text("offline"));
    else if (line.phase === "idle" && before && before !== "offline") this.announce(this.text("call_ended"));
    else this.announce("");
  }

  endView() {
    this.view?.end?.();
    this.view = null;
    this.parts = [];
  }

  rememberPopup() {
    queueMicrotask(() => {
      if (this.isConnected && !this.preview && !this.isPopup) rememberPopup(this.config);
    });
  }
}

// --- the pop-up -----------------------------------------------------------------------------------------------------

/** The cards whose lines pop up in this browser, by device. @returns {Record<string, CardConfig>} */
function rememberedPopups() {
  try {
    return JSON.parse(window.localStorage.getItem(POPUPS_KEY) ?? "{}");
  } catch {
    return {}; // a browser that keeps nothing, or something else that was kept there
  }
}

/** The card of a line that was shown last decides. @param {CardConfig} config */
function rememberPopup(config) {
  const line = config.device_id ?? config.entity;
  const popups = rememberedPopups();
  if (!line || JSON.stringify(popups[line]) === (config.popup ? JSON.stringify(config) : undefined)) return;
  if (config.popup) popups[line] = config;
  else delete popups[line];
  try {
    window.localStorage.setItem(POPUPS_KEY, JSON.stringify(popups));
  } catch {
    // then it pops up nowhere but here, until the page is left
  }
}

/** Shows a line that rings over whatever page of Home Assistant is open. It takes no focus. */
class SipPhonePopup extends HTMLElement {
  constructor() {
    super();
    this.card = /** @type {SipPhoneCard} */ (document.createElement("sip-phone-card"));
    this.card.isPopup = true;
    /** @type {string | null} */
    this.shown = null; // the line
    this.dismissed = new Set(); // lines, until they stop ringing
    this.isAnswered = false; // here, not at another panel
    this.card.addEventListener("sip-phone-answered", () => {
      this.isAnswered = true;
    });
    this.close = button(translate(pageLanguage(), "dismiss"), "close", () => this.dismiss(), { class: "chip" });
    this.frame = element("div", { class: "popup", role: "dialog" }, this.close, this.card);
    this.frame.addEventListener("keydown", ({ key }) => key === "Escape" && this.dismiss());
    const styles = new CSSStyleSheet();
    styles.replaceSync(`
      .popup { position: fixed; z-index: 1000; inset-block-end: max(16px, env(safe-area-inset-bottom));
        inset-inline-end: 16px; width: min(400px, calc(100vw - 32px)); max-height: calc(100vh - 32px); overflow: auto;
        border-radius: var(--ha-card-border-radius, 12px); filter: drop-shadow(0 4px 16px rgb(0 0 0 / 45%)); }
      .popup > .chip { position: absolute; z-index: 1; inset-block-start: 8px; inset-inline-end: 8px;
        background: var(--secondary-background-color, #f2f2f2); color: var(--primary-text-color, #1c1c1c); }
    `);
    const root = this.attachShadow({ mode: "open" });
    root.adoptedStyleSheets = [STYLES, styles];
    root.append(this.frame);
    this.frame.hidden = true;
  }

  /** @param {Hass} hass */
  set hass(hass) {
    const popups = rememberedPopups();
    const lines = Object.entries(popups).map(([id, config]) => ({ id, config, line: new Line(hass, config) }));
    for (const { id, line } of lines) if (line.phase !== "ringing") this.dismissed.delete(id);
    const current = lines.find(({ id, line }) => id === this.shown && this.staysOpen(line));
    const next = current ?? lines.find(({ id, line }) => line.phase === "ringing" && !this.dismissed.has(id));
    if (!next || (!current && isOnScreen(next.line.device))) {
      this.hide();
      return;
    }
    if (this.shown !== next.id) {
      this.shown = next.id;
      this.isAnswered = false;
      this.card.setConfig({ ...next.config, dial_pad: false });
    }
    this.card.hass = hass;
    this.frame.ariaLabel = next.line.text("ringing");
    setText(this.close.querySelector("span") ?? this.close, next.line.text("dismiss"));
    this.frame.hidden = false;
  }

  /** @param {Line} line */
  staysOpen(line) {
    return line.phase === "ringing" || (line.phase === "talking" && this.isAnswered);
  }

  dismiss() {
    this.dismissed.add(this.shown);
    this.hide();
  }

  hide() {
    this.shown = null;
    this.isAnswered = false;
    this.frame.hidden = true;
    this.card.endView();
  }
}

/** Whether a card of the line can be seen already. @param {string} device */
function isOnScreen(device) {
  return [...cards].some((card) => {
    if (card.isPopup || card.line?.device !== device) return false;
    const { top, bottom, width } = card.getBoundingClientRect();
    return width > 0 && bottom > 0 && top < window.innerHeight;
  });
}

/** Home Assistant's root element gives `hass` to whatever asks it so, as it does to its own dialogs. */
async function addPopup() {
  await customElements.whenDefined("home-assistant");
  const root = () => /** @type {any} */ (document.querySelector("home-assistant"));
  while (!root()?.shadowRoot || !root().hass?.states) await new Promise((go) => setTimeout(go, 250)); // not connected yet
  if (typeof root().provideHass !== "function") return;
  const popup = document.createElement("sip-phone-popup");
  root().shadowRoot.append(popup);
  root().provideHass(popup);
}

// --- registration ---------------------------------------------------------------------------------------------------

if (!customElements.get("sip-phone-card")) {
  customElements.define("sip-phone-card", SipPhoneCard);
  customElements.define("sip-phone-popup", SipPhonePopup);
  const catalogue = /** @type {any} */ (window);
  catalogue.customCards ??= [];
  catalogue.customCards.push({
    type: "sip-phone-card",
    name: "SIP Phone",
    description: translate(pageLanguage(), "description"),
    preview: true,
    documentationURL: "https://github.com/sip-bridge/sip-bridge/blob/main/docs/card.md",
    /** @param {Hass} hass @param {string} entityId */
    getEntitySuggestion(hass, entityId) {
      const entry = hass.entities[entityId];
      const isLine = entry?.platform === PLATFORM && Line.devices(hass).includes(entry.device_id ?? "");
      return isLine ? { config: { type: "custom:sip-phone-card", device_id: entry.device_id } } : null;
    },
  });
  addPopup();
}
