/* SPDX-License-Identifier: Apache-2.0
 *
 * list, inspect, create, toggle, delete and toxic: toxiproxy-cli's commands, which are duress's as well. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "toxic_session.h"

#define TOKEN_BYTES_MAX 4096
#define ATTRIBUTE_BYTES_MAX 256

typedef int (*toxic_command_fn)(struct toxic_session *session, int argc, char **argv);

struct toxic_command {
    const char *names; /* of itself, then its other names, with blanks between */
    const char *arguments;
    const char *summary;
    toxic_command_fn run;
};

/* --- the session --- */

/* The first line of the file. */
static bool token_read(const char *path, char token[TOKEN_BYTES_MAX])
{
    FILE *file = fopen(path, "re");
    bool read = file != NULL && fgets(token, TOKEN_BYTES_MAX, file) != NULL;
    if (file != NULL)
        (void)fclose(file);
    if (read)
        token[strcspn(token, "\r\n")] = '\0';
    else
        (void)fprintf(stderr, "--token-file: %s cannot be read\n", path);
    return read;
}

bool toxic_session_open(struct toxic_session *session)
{
    char token[TOKEN_BYTES_MAX];
    struct duress_failure why;
    if (session->token_file != NULL && !token_read(session->token_file, token))
        return false;
    struct duress_toxiproxy_options options = {
        .url = session->host,
        .user_agent = "toxiproxy-cli/2.12.0 (duress " DURESS_VERSION ")",
        .token = session->token_file != NULL ? token : NULL,
    };
    if (duress_toxiproxy_new(&options, &session->client, &why) == DURESS_OK)
        return true;
    (void)fprintf(stderr, "%s: %s\n", session->program, why.detail);
    return false;
}

int toxic_session_fail(const struct toxic_session *session, const char *what)
{
    (void)fprintf(stderr, "%s: %s\n", what, duress_toxiproxy_message(session->client));
    return 1;
}

static int answer_print(const struct toxic_session *session)
{
    const char *answer = duress_toxiproxy_answer(session->client);
    size_t length = strlen(answer);
    (void)printf("%s%s", answer, length > 0 && answer[length - 1] != '\n' ? "\n" : "");
    return 0;
}

/* --- flags and arguments --- */

static void help_print(FILE *out, const struct toxic_session *session, const char *command, const char *arguments,
                       const struct go_flag *flags, size_t flag_count)
{
    (void)fprintf(out, "Usage: %s %s [OPTION]...%s\n\nOptions, which come before the name:\n", session->program,
                  command, arguments);
    for (size_t i = 0; i < flag_count; i++)
        (void)fprintf(out, "  %s%-12s %s\n", strlen(flags[i].name) > 1 ? "--" : "-", flags[i].name, flags[i].usage);
}

/* Reads a command's flags, and the name behind them where one is needed, and opens the session. Returns -1 where the
 * command goes on, else its status. */
static int command_begin(struct toxic_session *session, const char *command, bool named, struct go_flag *flags,
                         size_t flag_count, int argc, char **argv, const char **name)
{
    const char *arguments = named ? " <proxyName>" : "";
    int rest = 0;
    enum go_flags_result read = go_flags_read(flags, flag_count, argc, argv, &rest);
    if (read != GO_FLAGS_READ) {
        help_print(stdout, session, command, arguments, flags, flag_count);
        return read == GO_FLAGS_HELP ? 0 : 1;
    }
    if (named && rest >= argc) {
        help_print(stdout, session, command, arguments, flags, flag_count);
        (void)fprintf(stderr, strncmp(command, "toxic", 5) == 0 ? "Proxy name is missing.\n"
                                                                : "Proxy name is required as the first argument.\n");
        return 1;
    }
    if (name != NULL)
        *name = named ? argv[rest] : NULL;
    return toxic_session_open(session) ? -1 : 1;
}

/* Says what is missing, with the command's help. */
static int argument_missing(const struct toxic_session *session, const char *command, const struct go_flag *flags,
                            size_t flag_count, const char *what)
{
    help_print(stdout, session, command, " <proxyName>", flags, flag_count);
    (void)fprintf(stderr, "Required argument '%s' was empty.\n", what);
    return 1;
}

/* --- proxies --- */

static int run_list(struct toxic_session *session, int argc, char **argv)
{
    struct go_flag flags[] = {TOXIC_SESSION_FLAGS(session)};
    const struct duress_toxiproxy_proxy *proxies = NULL;
    size_t count = 0;
    int status = command_begin(session, "list", false, flags, TOXIC_SESSION_FLAG_COUNT, argc, argv, NULL);
    if (status >= 0)
        return status;
    if (duress_toxiproxy_proxies(session->client, &proxies, &count, NULL) != DURESS_OK)
        return toxic_session_fail(session, "Failed to retrieve proxies");
    if (session->json)
        return answer_print(session);
    toxic_print_list(session, proxies, count);
    return 0;
}

static int retrieve_fail(const struct toxic_session *session, const char *name)
{
    (void)fprintf(stderr, "Failed to retrieve proxy %s: %s\n", name, duress_toxiproxy_message(session->client));
    return 1;
}

static int run_inspect(struct toxic_session *session, int argc, char **argv)
{
    struct go_flag flags[] = {TOXIC_SESSION_FLAGS(session)};
    const struct duress_toxiproxy_proxy *proxy = NULL;
    const char *name = NULL;
    int status = command_begin(session, "inspect", true, flags, TOXIC_SESSION_FLAG_COUNT, argc, argv, &name);
    if (status >= 0)
        return status;
    if (duress_toxiproxy_proxy_get(session->client, name, &proxy, NULL) != DURESS_OK)
        return retrieve_fail(session, name);
    if (session->json)
        return answer_print(session);
    toxic_print_proxy(session, proxy);
    return 0;
}

static int run_create(struct toxic_session *session, int argc, char **argv)
{
    struct duress_toxiproxy_proxy proxy = {.name = NULL};
    struct go_flag flags[] = {
        {"listen", GO_FLAG_TEXT, &proxy.listen, "address that the proxy listens at", false},
        {"l", GO_FLAG_TEXT, &proxy.listen, "the same", false},
        {"upstream", GO_FLAG_TEXT, &proxy.upstream, "address that it forwards to", false},
        {"u", GO_FLAG_TEXT, &proxy.upstream, "the same", false},
        TOXIC_SESSION_FLAGS(session),
    };
    const size_t flag_count = sizeof flags / sizeof flags[0];
    int status = command_begin(session, "create", true, flags, flag_count, argc, argv, &proxy.name);
    if (status >= 0)
        return status;
    if (proxy.listen == NULL || *proxy.listen == '\0')
        return argument_missing(session, "create", flags, flag_count, "listen");
    if (proxy.upstream == NULL || *proxy.upstream == '\0')
        return argument_missing(session, "create", flags, flag_count, "upstream");
    if (duress_toxiproxy_proxy_create(session->client, &proxy, NULL, NULL) != DURESS_OK)
        return toxic_session_fail(session, "Failed to create proxy: Create");
    if (session->json)
        return answer_print(session);
    (void)printf("Created new proxy %s\n", proxy.name);
    return 0;
}

static int run_toggle(struct toxic_session *session, int argc, char **argv)
{
    struct go_flag flags[] = {TOXIC_SESSION_FLAGS(session)};
    const struct duress_toxiproxy_proxy *proxy = NULL;
    const char *name = NULL;
    int status = command_begin(session, "toggle", true, flags, TOXIC_SESSION_FLAG_COUNT, argc, argv, &name);
    if (status >= 0)
        return status;
    if (duress_toxiproxy_proxy_get(session->client, name, &proxy, NULL) != DURESS_OK)
        return retrieve_fail(session, name);
    bool enable = proxy->is_disabled;
    if (duress_toxiproxy_proxy_enable(session->client, name, enable, &proxy, NULL) != DURESS_OK) {
        (void)fprintf(stderr, "Failed to toggle proxy %s: %s\n", name, duress_toxiproxy_message(session->client));
        return 1;
    }
    if (session->json)
        return answer_print(session);
    toxic_print_toggled(session, proxy);
    return 0;
}

static int run_delete(struct toxic_session *session, int argc, char **argv)
{
    struct go_flag flags[] = {TOXIC_SESSION_FLAGS(session)};
    const char *name = NULL;
    int status = command_begin(session, "delete", true, flags, TOXIC_SESSION_FLAG_COUNT, argc, argv, &name);
    if (status >= 0)
        return status;
    if (duress_toxiproxy_proxy_delete(session->client, name, NULL) != DURESS_OK)
        return retrieve_fail(session, name);
    (void)printf("Deleted proxy %s\n", name);
    return 0;
}

/* --- toxics --- */

/* The words of a command about a toxic. */
struct toxic_words {
    struct duress_toxiproxy_toxic toxic;
    const char *toxicity;
    bool upstream;
    bool downstream;
    struct go_flag_texts attributes;
    struct duress_toxiproxy_attribute read[GO_FLAG_TEXTS_MAX];
    char names[GO_FLAG_TEXTS_MAX][ATTRIBUTE_BYTES_MAX];
};

#define TOXIC_NAME_FLAGS(words)                                                                                        \
    {"toxicName", GO_FLAG_TEXT, &(words).toxic.name, "name of the toxic", false},                                      \
    {                                                                                                                  \
        "n", GO_FLAG_TEXT, &(words).toxic.name, "the same", false                                                      \
    }
#define TOXIC_SETTING_FLAGS(words)                                                                                     \
    {"toxicity", GO_FLAG_TEXT, &(words).toxicity, "share of connections that it acts on, from 0 to 1", false},         \
        {"tox", GO_FLAG_TEXT, &(words).toxicity, "the same", false},                                                   \
        {"attribute", GO_FLAG_TEXTS, &(words).attributes, "key=value; may be given again", false},                     \
    {                                                                                                                  \
        "a", GO_FLAG_TEXTS, &(words).attributes, "the same", false                                                     \
    }

/* Reads what the flags gave as texts. False with a message. A word without "=" is no attribute, and left out. */
static bool words_read(struct toxic_words *words)
{
    words->toxic.attributes = words->read;
    for (size_t i = 0; i < words->attributes.count; i++) {
        const char *text = words->attributes.texts[i];
        const char *equals = strchr(text, '=');
        if (equals == NULL || (size_t)(equals - text) >= ATTRIBUTE_BYTES_MAX)
            continue;
        char *name = words->names[words->toxic.attribute_count];
        memcpy(name, text, (size_t)(equals - text));
        name[equals - text] = '\0';
        words->read[words->toxic.attribute_count].name = name;
        words->read[words->toxic.attribute_count].value = equals + 1;
        words->toxic.attribute_count++;
    }
    if (words->toxicity == NULL)
        return true;
    char *end = NULL;
    words->toxic.toxicity = strtod(words->toxicity, &end);
    words->toxic.has_toxicity =
        *words->toxicity != '\0' && *end == '\0' && words->toxic.toxicity >= 0 && words->toxic.toxicity <= 1;
    if (!words->toxic.has_toxicity)
        (void)fprintf(stderr, "toxicity should be a float between 0 and 1.\n");
    return words->toxic.has_toxicity;
}

/* A proxy that is not there reads so whatever was asked of its toxics. */
static bool proxy_is_there(const struct toxic_session *session, const char *what, const char *name)
{
    if (duress_toxiproxy_proxy_get(session->client, name, NULL, NULL) == DURESS_OK)
        return true;
    (void)fprintf(stderr, "Failed to %s toxic: failed to retrieve proxy with name `%s`: %s\n", what, name,
                  duress_toxiproxy_message(session->client));
    return false;
}

static int run_toxic_add(struct toxic_session *session, int argc, char **argv)
{
    static struct toxic_words words;
    const struct duress_toxiproxy_toxic *made = NULL;
    struct go_flag flags[] = {
        {"type", GO_FLAG_TEXT, &words.toxic.type, "type of the toxic", false},
        {"t", GO_FLAG_TEXT, &words.toxic.type, "the same", false},
        {"upstream", GO_FLAG_SWITCH, &words.upstream, "from the client to the server", false},
        {"u", GO_FLAG_SWITCH, &words.upstream, "the same", false},
        {"downstream", GO_FLAG_SWITCH, &words.downstream, "from the server to the client (default)", false},
        {"d", GO_FLAG_SWITCH, &words.downstream, "the same", false},
        TOXIC_NAME_FLAGS(words),
        TOXIC_SETTING_FLAGS(words),
        TOXIC_SESSION_FLAGS(session),
    };
    const size_t flag_count = sizeof flags / sizeof flags[0];
    const char *name = NULL;
    int status = command_begin(session, "toxic add", true, flags, flag_count, argc, argv, &name);
    if (status >= 0)
        return status;
    if (words.toxic.type == NULL || *words.toxic.type == '\0')
        return argument_missing(session, "toxic add", flags, flag_count, "type");
    if (words.upstream && words.downstream) {
        (void)fprintf(stderr, "Only one should be specified: upstream or downstream.\n");
        return 1;
    }
    words.toxic.stream = words.upstream ? "upstream" : "downstream";
    if (!words_read(&words) || !proxy_is_there(session, "add", name))
        return 1;
    if (duress_toxiproxy_toxic_add(session->client, name, &words.toxic, &made, NULL) != DURESS_OK) {
        (void)fprintf(stderr, "Failed to add toxic: failed to add toxic to proxy %s: AddToxic: %s\n", name,
                      duress_toxiproxy_message(session->client));
        return 1;
    }
    if (session->json)
        return answer_print(session);
    (void)printf("Added %s %s toxic '%s' on proxy '%s'\n", made->stream, made->type, made->name, name);
    return 0;
}

static int run_toxic_update(struct toxic_session *session, int argc, char **argv)
{
    static struct toxic_words words;
    struct go_flag flags[] = {TOXIC_NAME_FLAGS(words), TOXIC_SETTING_FLAGS(words), TOXIC_SESSION_FLAGS(session)};
    const size_t flag_count = sizeof flags / sizeof flags[0];
    const char *name = NULL;
    int status = command_begin(session, "toxic update", true, flags, flag_count, argc, argv, &name);
    if (status >= 0)
        return status;
    if (words.toxic.name == NULL || *words.toxic.name == '\0')
        return argument_missing(session, "toxic update", flags, flag_count, "toxicName");
    if (!words_read(&words) || !proxy_is_there(session, "update", name))
        return 1;
    if (duress_toxiproxy_toxic_update(session->client, name, &words.toxic, NULL, NULL) != DURESS_OK) {
        (void)fprintf(stderr, "Failed to update toxic: failed to update toxic '%s' of proxy '%s': %s\n",
                      words.toxic.name, name, duress_toxiproxy_message(session->client));
        return 1;
    }
    if (session->json)
        return answer_print(session);
    (void)printf("Updated toxic '%s' on proxy '%s'\n", words.toxic.name, name);
    return 0;
}

static int run_toxic_remove(struct toxic_session *session, int argc, char **argv)
{
    static struct toxic_words words;
    struct go_flag flags[] = {TOXIC_NAME_FLAGS(words), TOXIC_SESSION_FLAGS(session)};
    const size_t flag_count = sizeof flags / sizeof flags[0];
    const char *name = NULL;
    int status = command_begin(session, "toxic remove", true, flags, flag_count, argc, argv, &name);
    if (status >= 0)
        return status;
    if (words.toxic.name == NULL || *words.toxic.name == '\0')
        return argument_missing(session, "toxic remove", flags, flag_count, "toxicName");
    if (!proxy_is_there(session, "remove", name))
        return 1;
    if (duress_toxiproxy_toxic_remove(session->client, name, words.toxic.name, NULL) != DURESS_OK) {
        (void)fprintf(stderr, "Failed to remove toxic: failed to remove toxic '%s' from proxy '%s': %s\n",
                      words.toxic.name, name, duress_toxiproxy_message(session->client));
        return 1;
    }
    (void)printf("Removed toxic '%s' on proxy '%s'\n", words.toxic.name, name);
    return 0;
}

/* --- finding commands --- */

static int run_toxic(struct toxic_session *session, int argc, char **argv);

static const struct toxic_command commands[] = {
    {"list l li ls", "", "list all proxies", run_list},
    {"inspect i ins", "<proxyName>", "show a proxy's toxics", run_inspect},
    {"create c new", "--listen <addr> --upstream <addr> <proxyName>", "make a proxy", run_create},
    {"toggle tog", "<proxyName>", "take a proxy down, or up again", run_toggle},
    {"delete d", "<proxyName>", "remove a proxy", run_delete},
    {"toxic t", "add|update|remove …", "add, change or remove a toxic", run_toxic},
};
static const struct toxic_command toxic_commands[] = {
    {"add a", "--type <type> [--toxicName <name>] [--upstream] [--attribute <key=value>]… <proxyName>", "add a toxic",
     run_toxic_add},
    {"update u", "--toxicName <name> [--toxicity <share>] [--attribute <key=value>]… <proxyName>", "change a toxic",
     run_toxic_update},
    {"remove r delete d", "--toxicName <name> <proxyName>", "remove a toxic", run_toxic_remove},
};

static bool has_name(const struct toxic_command *command, const char *name)
{
    size_t length = strlen(name);
    const char *at = command->names;
    while (*at != '\0') {
        size_t word = strcspn(at, " ");
        if (word == length && strncmp(at, name, length) == 0)
            return true;
        at += word + strspn(at + word, " ");
    }
    return false;
}

static void commands_print(const char *program, const char *group, const struct toxic_command *list, size_t count)
{
    (void)printf("Usage: %s %sCOMMAND [OPTION]... [NAME]\n\nCommands, with their other names:\n", program, group);
    for (size_t i = 0; i < count; i++)
        (void)printf("  %-18s %s\n  %18s   %s\n", list[i].names, list[i].summary, "", list[i].arguments);
}

static int command_run(struct toxic_session *session, const struct toxic_command *list, size_t count, int argc,
                       char **argv)
{
    for (size_t i = 0; i < count; i++)
        if (has_name(&list[i], argv[0]))
            return list[i].run(session, argc, argv);
    (void)fprintf(stderr, "No help topic for '%s'\n", argv[0]);
    return 3;
}

static int run_toxic(struct toxic_session *session, int argc, char **argv)
{
    const size_t count = sizeof toxic_commands / sizeof toxic_commands[0];
    if (argc > 1 && strcmp(argv[1], "help") != 0 && strcmp(argv[1], "--help") != 0 && strcmp(argv[1], "h") != 0)
        return command_run(session, toxic_commands, count, argc - 1, argv + 1);
    commands_print(session->program, "toxic ", toxic_commands, count);
    return 0;
}

static int session_end(struct toxic_session *session, int status)
{
    duress_toxiproxy_free(session->client);
    if (fflush(stdout) == 0)
        return status;
    (void)fprintf(stderr, "%s: standard output cannot be written\n", session->program);
    return 1;
}

static void session_begin(struct toxic_session *session, const char *program)
{
    const char *url = getenv("TOXIPROXY_URL");
    *session = (struct toxic_session){.program = program, .terminal = isatty(STDOUT_FILENO) == 1};
    session->host = url != NULL && *url != '\0' ? url : DURESS_TOXIPROXY_URL_DEFAULT;
}

int command_toxiproxy(int argc, char **argv)
{
    struct toxic_session session;
    session_begin(&session, "duress");
    return session_end(&session, command_run(&session, commands, sizeof commands / sizeof commands[0], argc, argv));
}

int command_toxiproxy_cli(int argc, char **argv)
{
    struct toxic_session session;
    bool version = false;
    int rest = 0;
    session_begin(&session, "toxiproxy-cli");
    struct go_flag flags[] = {
        {"h", GO_FLAG_TEXT, &session.host, "the same", false},
        {"version", GO_FLAG_SWITCH, &version, "print the version", false},
        {"v", GO_FLAG_SWITCH, &version, "the same", false},
        TOXIC_SESSION_FLAGS(&session),
    };
    enum go_flags_result read = go_flags_read(flags, sizeof flags / sizeof flags[0], argc, argv, &rest);
    if (version && read == GO_FLAGS_READ) {
        (void)printf("toxiproxy-cli version 2.12.0\n");
        return 0;
    }
    const size_t count = sizeof commands / sizeof commands[0];
    bool help =
        read != GO_FLAGS_READ || rest >= argc || strcmp(argv[rest], "help") == 0 || strcmp(argv[rest], "h") == 0;
    if (!help)
        return session_end(&session, command_run(&session, commands, count, argc - rest, argv + rest));
    if (read == GO_FLAGS_READ && rest + 1 < argc && strcmp(argv[rest + 1], "toxic") == 0) {
        (void)run_toxic(&session, 1, argv);
        return 0;
    }
    commands_print(session.program, "[--host URL] ", commands, count);
    return read == GO_FLAGS_BAD ? 1 : 0;
}
