"""JavaScript by which the tests know that a page of the webui is idle."""

# Counts requests to the server and their answers, so that an idle page can be awaited.
COUNT_JOBS = """
window.jobs = {asked: 0, done: 0, quiet: 0, changed: performance.now()};
const note = (key) => { window.jobs[key] += 1; window.jobs.changed = performance.now(); };
const heard = (data) => {
    if (!data.trim().startsWith('{')) return;  // a heartbeat
    window.jobs.changed = performance.now();
    if (JSON.parse(data).msg === 'process_completed') note('done');
};
const follow = async (body) => {
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    for (let rest = ''; ;) {
        const {done, value} = await reader.read();
        if (done) return;
        const events = (rest + value).split('\\n\\n');
        rest = events.pop();
        for (const event of events) heard(event.slice('data:'.length));
    }
};
window.EventSource = class extends EventSource {  // gradio before 4.37 listens so
    constructor(...args) {
        super(...args);
        this.addEventListener('message', (event) => heard(event.data));
    }
};
const fetch_ = window.fetch;
window.fetch = async (...args) => {
    const path = new URL(args[0]?.url ?? args[0], location).pathname;
    const asks = /(queue[/]join|run[/]predict)$/.test(path);
    if (asks) note('asked');
    const answer = await fetch_(...args);
    if (asks && (!answer.ok || path.endsWith('predict'))) note('done');
    if (path.endsWith('queue/data')) follow(answer.clone().body).catch(() => {});  // the page may cut it off
    return answer;
};
"""
# Events come in chains, each requested when the previous one is done, with gaps shorter than this. Counted in frames too,
# as they are slower on a busy machine.
IDLE = """() => {
    const rests = jobs.asked > 0 && jobs.asked === jobs.done && !document.querySelector('._generating');
    jobs.quiet = rests ? jobs.quiet + 1 : 0;
    return jobs.quiet > 20 && performance.now() - jobs.changed > 300;
}"""
