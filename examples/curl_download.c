/* SPDX-License-Identifier: Apache-2.0
 *
 * A download by libcurl, with a deadline, retries and a circuit breaker around it. The server is a thread of this
 * program, and hangs up on its first visitor. */
#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include <curl/curl.h>
#include <duress/middleware/guard.h>

static int download_try(void *context, uint32_t attempt, uint64_t deadline_ns)
{
    uint64_t left_ns = duress_time_until(duress_clock_live()->now_ns(NULL), deadline_ns);
    CURL *curl = curl_easy_init();
    if (curl == NULL)
        return DURESS_E_NO_MEMORY;
    curl_easy_setopt(curl, CURLOPT_URL, (const char *)context);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_FAILONERROR, 1L);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)(left_ns / DURESS_MS) + 1);
    CURLcode code = curl_easy_perform(curl);
    curl_easy_cleanup(curl);
    (void)printf("attempt %u: %s\n", attempt, code == CURLE_OK ? "got it" : "failed");
    return code == CURLE_OK                   ? DURESS_OK
           : code == CURLE_COULDNT_CONNECT    ? DURESS_E_REFUSED
           : code == CURLE_OPERATION_TIMEDOUT ? DURESS_E_DEADLINE
                                              : DURESS_E_RESET;
}

static void *server_run(void *context)
{
    static const char reply[] = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nhello\n";
    char request[4096];
    for (int visitor = 1; visitor <= 2; visitor++) {
        int fd = accept(*(int *)context, NULL, NULL);
        if (read(fd, request, sizeof request) > 0 && visitor > 1 && write(fd, reply, sizeof reply - 1) < 0)
            (void)fprintf(stderr, "cannot reply\n");
        (void)close(fd);
    }
    return NULL;
}

int main(void)
{
    static struct duress_breaker breaker;
    static struct duress_guard guard;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    struct duress_retry_options retry = {.attempts_max = 3, .backoff_ns = 20 * DURESS_MS};
    struct duress_guard_options options = {.clock = duress_clock_live(), .breaker = &breaker, .retry = &retry};
    char url[64];
    pthread_t server;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, (struct sockaddr *)&address, length) != 0 || listen(listener, 8) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &length) != 0 ||
        pthread_create(&server, NULL, server_run, &listener) != 0 || curl_global_init(CURL_GLOBAL_DEFAULT) != 0 ||
        duress_breaker_init(&breaker, NULL, NULL) != DURESS_OK ||
        duress_guard_init(&guard, &options, NULL) != DURESS_OK)
        return 1;
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%u/", ntohs(address.sin_port));
    struct duress_guard_call call = {.idempotent = true};
    call.deadline_ns = duress_time_add(duress_clock_live()->now_ns(NULL), 5 * DURESS_S);
    int error = duress_guard_run(&guard, download_try, url, &call, NULL);
    (void)printf("%s\n", error == DURESS_OK ? "downloaded" : duress_strerror(error));
    return error == DURESS_OK && pthread_join(server, NULL) == 0 ? 0 : 1;
}
