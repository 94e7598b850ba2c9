// Questions to the service, and what may come of them.

const SECONDS = 15;
const TRIES = 3;
const TOKEN = "nearfar-token";

/** What a question ended in; kind is "offline", "token" or "problem". */
export class ServiceError extends Error {
  constructor(kind, title, detail, more = {}) {
    super(detail);
    this.kind = kind;
    this.title = title;
    this.detail = detail;
    this.requestId = more.requestId || null;
    this.status = more.status || 0;
  }
}

/** Told of what concerns the whole page. */
export const hooks = { offline: () => {}, token: () => {} };

export const rememberToken = (token) => sessionStorage.setItem(TOKEN, token);

/** The answer to GET, or to POST where there is a body. */
export async function ask(path, { body, signal } = {}) {
  for (let tried = 1; ; tried += 1) {
    const answer = await reach(path, body, signal);
    if (answer.ok) return answer.json();
    const wait = Number(answer.headers.get("Retry-After"));
    const busy = (answer.status === 429 || answer.status === 503) && wait > 0 && wait <= 5;
    if (!busy || tried === TRIES) throw await refusal(answer);
    await pause(wait * 1000, signal);
  }
}

/** Whether the service answers at all. */
export async function alive() {
  try {
    return (await fetch("readyz", { cache: "no-store", signal: AbortSignal.timeout(4000) })).ok;
  } catch {
    return false;
  }
}

async function reach(path, body, signal) {
  const headers = {};
  const token = sessionStorage.getItem(TOKEN);
  if (token) headers.Authorization = `Bearer ${token}`;
  if (body) headers["Content-Type"] = "application/json";
  const limit = AbortSignal.timeout(SECONDS * 1000);
  try {
    return await fetch(path, {
      method: body ? "POST" : "GET",
      headers,
      body: body && JSON.stringify(body),
      cache: "no-store",
      signal: signal ? AbortSignal.any([signal, limit]) : limit,
    });
  } catch (error) {
    if (signal && signal.aborted) throw error;
    const gone = new ServiceError("offline", "The service does not answer", "Trying again …");
    hooks.offline();
    throw gone;
  }
}

async function refusal(answer) {
  let problem = {};
  try {
    problem = await answer.json();
  } catch {
    // Something between the page and the service answered, in a form of its own.
  }
  const title = problem.title || answer.statusText || `Error ${answer.status}`;
  const detail = problem.detail || "The answer was none of the service's own.";
  const more = { requestId: problem.request_id, status: answer.status };
  if (answer.status === 401) {
    hooks.token();
    return new ServiceError("token", "A token is needed", detail, more);
  }
  return new ServiceError("problem", title, detail, more);
}

function pause(ms, signal) {
  return new Promise((done, stop) => {
    const timer = setTimeout(done, ms);
    const aborted = () => {
      clearTimeout(timer);
      stop(signal.reason);
    };
    if (signal) signal.addEventListener("abort", aborted, { once: true });
  });
}
