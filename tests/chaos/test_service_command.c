/* SPDX-License-Identifier: Apache-2.0
 *
 * Services that are not ours: a web server as a command, found ready in each of three ways, crashed, frozen, stopped
 * and starved like any other. */
#include <duress/chaos/fault.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* --- a client of one's own: what comes for "GET /" by the end of the connection, or by the time limit --- */

struct visit {
    struct duress_stream *stream;
    char text[4096];
    size_t length;
    bool is_over;
};

static void visit_read(struct visit *visit)
{
    size_t count = 0;
    int error = DURESS_OK;
    while (error == DURESS_OK && visit->length < sizeof visit->text - 1) {
        error = duress_stream_read(visit->stream, visit->text + visit->length, sizeof visit->text - 1 - visit->length,
                                   &count);
        visit->length += error == DURESS_OK ? count : 0;
    }
    visit->is_over = error != DURESS_E_AGAIN;
}

static void visit_told(void *context, struct duress_stream *stream, unsigned events)
{
    static const char request[] = "GET / HTTP/1.0\r\n\r\n";
    struct visit *visit = context;
    size_t count = 0;
    if (events & DURESS_STREAM_CONNECTED) {
        struct duress_slice slice = duress_slice_text(request);
        visit->is_over = duress_stream_write(stream, &slice, 1, &count) != DURESS_OK;
        duress_stream_want(stream, DURESS_STREAM_READABLE);
    }
    if (events & DURESS_STREAM_READABLE)
        visit_read(visit);
    if (events & (DURESS_STREAM_FAILED | DURESS_STREAM_HANGUP))
        visit->is_over = true;
}

static bool visit_is_over(void *context)
{
    return ((struct visit *)context)->is_over;
}

/* Whether the page came within |within_ns|. */
static bool page_comes(struct chaos *chaos, struct chaos_link *link, uint64_t within_ns)
{
    struct visit visit = {.length = 0};
    struct duress_address address = chaos_link_address(link);
    if (duress_world_connect(chaos_world(chaos), &address, visit_told, &visit, &visit.stream) != DURESS_OK)
        return false;
    (void)chaos_until(chaos, visit_is_over, &visit, within_ns);
    duress_stream_close(visit.stream);
    visit.text[visit.length] = '\0';
    return strstr(visit.text, "200") != NULL && strstr(visit.text, "a page") != NULL;
}

/* --- the server --- */

static const char program[] = "import http.server, sys, signal\n"
                              "class Page(http.server.BaseHTTPRequestHandler):\n"
                              "    def do_GET(self):\n"
                              "        self.send_response(200)\n"
                              "        self.end_headers()\n"
                              "        self.wfile.write(b'a page')\n"
                              "signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))\n"
                              "server = http.server.HTTPServer(('127.0.0.1', int(sys.argv[1])), Page)\n"
                              "print('serving on port', sys.argv[1], flush=True)\n"
                              "server.serve_forever()\n";

static bool python_is_there(void)
{
    char path[512];
    const char *folders = getenv("PATH");
    for (const char *at = folders; at != NULL && *at != '\0'; at += strspn(at, ":")) {
        size_t length = strcspn(at, ":");
        (void)snprintf(path, sizeof path, "%.*s/python3", (int)length, at);
        if (access(path, X_OK) == 0)
            return true;
        at += length;
    }
    return false;
}

static struct chaos_service *web_start(struct chaos *chaos, enum chaos_ready ready, const char *ready_text)
{
    static const char *const command[] = {"python3", "-c", program, "{port}", NULL};
    if (!python_is_there())
        chaos_skip(chaos, "needs python3 for a web server; install it (apt-get install python3)");
    return chaos_service_start(chaos, "web", .command = command, .ready = ready, .ready_text = ready_text);
}

CHAOS_TEST_LIVE(command, crash_and_restart, "a web server, ready by its port, is killed and comes back")
{
    struct chaos_service *web = web_start(chaos, CHAOS_READY_PORT, NULL);
    struct chaos_link *link = chaos_link_open(chaos, web);
    CHAOS_EXPECT(page_comes(chaos, link, 10 * DURESS_S));

    chaos_service_crash(web, CHAOS_CRASH_SIGKILL);
    CHAOS_EXPECT(!page_comes(chaos, link, 10 * DURESS_S));
    CHAOS_EXPECT_EQUAL(chaos_service_end(web).how, CHAOS_END_SIGKILL);

    chaos_service_restart_after(web, 10 * DURESS_MS, 1);
    CHAOS_EXPECT(chaos_service_await_start(web, 20 * DURESS_S));
    CHAOS_EXPECT(page_comes(chaos, link, 10 * DURESS_S));
}

CHAOS_TEST_LIVE(command, freeze_and_stop, "a web server, ready by an answer over HTTP, is frozen, and ends as it likes")
{
    struct chaos_service *web = web_start(chaos, CHAOS_READY_HTTP, "/");
    struct chaos_link *link = chaos_link_open(chaos, web);

    chaos_service_freeze(web);
    CHAOS_EXPECT(!page_comes(chaos, link, 200 * DURESS_MS));
    chaos_service_thaw(web);
    CHAOS_EXPECT(page_comes(chaos, link, 10 * DURESS_S));
    chaos_service_stop(web);
    CHAOS_EXPECT(chaos_service_await_end(web, 1, 10 * DURESS_S));
    CHAOS_EXPECT_EQUAL(chaos_service_end(web).how, CHAOS_END_EXITED);
    CHAOS_EXPECT_EQUAL(chaos_service_end(web).code, 7);
}

CHAOS_TEST_LIVE(command, slow_link, "a web server, ready by a line of its output, behind a slow link")
{
    struct chaos_service *web = web_start(chaos, CHAOS_READY_LINE, "serving on port {port}");
    struct chaos_link *link = chaos_link_open(chaos, web);
    chaos_link_latency(link, 100 * DURESS_MS);

    uint64_t started_ns = chaos_now_ns(chaos);
    CHAOS_EXPECT(page_comes(chaos, link, 10 * DURESS_S));
    CHAOS_EXPECT_AT_LEAST(chaos_now_ns(chaos) - started_ns, 100 * DURESS_MS);
}
