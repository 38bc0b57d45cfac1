"""The server of the webui tests knows when a webui can be asked for its page; tests/webui/server.py."""

import time

import pytest
from webui import server as webui_server

# Serves a page; gradio's line is printed, or swallowed as in v3.
WEBUI = """
import http.server, sys, time
port = int(sys.argv[sys.argv.index('--listen-port') + 1])

class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        print('asked', flush=True)
        self.send_response(200)
        self.end_headers()

print('Running on local URL', flush=True)
end = time.process_time() + 1  # as gradio's own request to the page
while time.process_time() < end:
    pass
print('done', 'To create a public link' if {printed} else '', flush=True)
http.server.HTTPServer(('127.0.0.1', port), Page).serve_forever()
"""


@pytest.mark.parametrize('printed', [True, False])
def test_a_start_is_awaited_until_gradio_has_done_without_waiting_for_a_line_that_never_comes(tmp_path, printed):
    (tmp_path / 'server.py').write_text(WEBUI.format(printed=printed))
    (tmp_path / 'modules').mkdir()
    if not printed:
        (tmp_path / 'modules' / 'block_requests.py').write_text("if 'To create a public link' in args[0]: return")
    start = time.monotonic()
    with webui_server.Server(tmp_path) as server:
        server.wait()
        assert time.monotonic() - start < webui_server.GRADIO_SECONDS / 2
        first, *rest = (line.strip() for line in server.log().splitlines()[1:])
        assert first.startswith('done') and rest[0] == 'asked'
