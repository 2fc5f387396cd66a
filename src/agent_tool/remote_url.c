/* SPDX-License-Identifier: Apache-2.0
 *
 * The agent at a URL. */
#include <duress/agent_tool/agents.h>

#include <string.h>

#include <duress/agent/remote.h>
#include <duress/agent_http/client.h>

static bool begins_with(const char *text, const char *begin)
{
    return strncmp(text, begin, strlen(begin)) == 0;
}

static int http_agent_new(const struct duress__url_agent_options *options, struct duress_agent **agent,
                          struct duress_failure *why)
{
    struct duress_http_agent_options http = {
        .world = options->world,
        .url = options->url,
        .headers = options->headers,
        .header_count = options->header_count,
        .connect_timeout_ns = options->connect_timeout_ns,
        .connections_max = options->connections_max,
        .insecure_accept_any_certificate = options->insecure_accept_any_certificate,
        .ca_file = options->ca_file,
    };
    return duress_http_agent_new(&http, agent, why);
}

static int framed_agent_new(const struct duress__url_agent_options *options, struct duress_agent **agent,
                            struct duress_failure *why)
{
    struct duress_remote_options remote = {
        .world = options->world,
        .endpoint = options->url,
        .connect_timeout_ns = options->connect_timeout_ns,
        .connections_max = options->connections_max,
    };
    return duress_remote_new(&remote, agent, why);
}

int duress__url_agent_new(const struct duress__url_agent_options *options, struct duress_agent **agent,
                          struct duress_failure *why)
{
    if (begins_with(options->url, "http://") || begins_with(options->url, "https://"))
        return http_agent_new(options, agent, why);
    if (!begins_with(options->url, "tcp://") && !begins_with(options->url, "unix://")) {
        duress_failure_set(why, DURESS_E_INVALID, DURESS_ORIGIN_CALLER,
                           "must begin with http://, https://, tcp:// or unix://");
        return DURESS_E_INVALID;
    }
    if (options->header_count > 0 || options->ca_file != NULL || options->insecure_accept_any_certificate) {
        duress_failure_set(why, DURESS_E_INVALID, DURESS_ORIGIN_CALLER, "headers and certificates are HTTP's");
        return DURESS_E_INVALID;
    }
    return framed_agent_new(options, agent, why);
}
