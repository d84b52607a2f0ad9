/* Each kind of error, and that nothing but an error comes of it. errors SERVER CA TOKEN ACCOUNT PORT JOURNAL PCSCD */
#include "socket_port.h"
#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>

static onetap_config good;
static onetap_transaction coffee;

static char *read_file(const char *path)
{
    FILE *file = fopen(path, "r");
    char *text = calloc(1, 65536);
    if (!file || !text || !fread(text, 1, 65535, file))
        abort();
    fclose(file);
    return text;
}

#define EXPECT(kind, call) expect(kind, call, #call, __LINE__)
#define WORKS(call) expect(ONETAP_OK, call, #call, __LINE__)

static void expect(onetap_status wanted, onetap_status got, const char *call, int line)
{
    if (got != wanted || (wanted != ONETAP_OK && (!*onetap_cause() || !*onetap_cure()))) {
        fprintf(stderr, "%d: %s: %d, not %d: %s; %s\n", line, call, got, wanted, onetap_cause(), onetap_cure());
        exit(EXIT_FAILURE);
    }
}

/* A port whose functions do what `does` says. */
static int does;
static int odd_present(void *context, uint32_t wait_ms)
{
    (void)context, (void)wait_ms;
    return does == 0 ? 0 : 1;
}
static int odd_connect(void *context, uint8_t *atr)
{
    (void)context, (void)atr;
    return does == -1 ? ONETAP_PORT_FAILED : 0;
}
static int odd_transmit(void *context, const uint8_t *command, size_t len, uint8_t *response)
{
    (void)context, (void)command, (void)len;
    memcpy(response, "\x6A\x82", 2);
    return does == 70000 ? 70000 : 2;
}
static int odd_disconnect(void *context, bool power_off)
{
    (void)context, (void)power_off;
    return 0;
}
static const onetap_port odd = {sizeof odd, NULL, odd_present, odd_connect, odd_transmit, odd_disconnect, NULL};

static onetap_end decided;

/* Follows a payment to its end; types what the test reads off the card, or eight digits where there is none. With `stop`,
 * cancels it while it is sent. */
static onetap_status ends(onetap_config *config, bool stop)
{
    onetap_handle till, payment;
    const onetap_event *event;
    onetap_status status;
    char line[128];
    bool taken;
    WORKS(onetap_till(config, &till));
    WORKS(onetap_pay(till, &coffee, NULL, &payment));
    do {
        status = onetap_next(payment, 60000, &event);
        if (status == ONETAP_OK && event->what == ONETAP_WHAT_BEGAN && event->step == ONETAP_STEP_HOLDER) {
            strcpy(line, "12345678");
            if (!config->trace) {
                printf("type\n");
                fflush(stdout);
                if (!fgets(line, sizeof line, stdin))
                    abort();
            }
            WORKS(onetap_type_in(payment, line, &taken));
        } else if (status == ONETAP_OK && event->what == ONETAP_WHAT_ENDED) {
            decided = event->outcome->result;
        } else if (status == ONETAP_OK && stop && event->step == ONETAP_STEP_SENDING) {
            WORKS(onetap_cancel(payment));
        }
    } while (status == ONETAP_OK && event->what != ONETAP_WHAT_ENDED);
    EXPECT(status, onetap_next(payment, 0, &event));
    WORKS(onetap_close(payment));
    WORKS(onetap_close(till));
    return status;
}

/* A system that gives no thread, since there is no room for its stack. Threads that ended would leave theirs. */
static void no_thread(void)
{
    onetap_handle till, payment;
    struct rlimit all, little;
    unsigned long pages;
    FILE *statm = fopen("/proc/self/statm", "r");
    if (!statm || fscanf(statm, "%lu", &pages) != 1 || getrlimit(RLIMIT_AS, &all))
        abort();
    fclose(statm);
    little = all;
    little.rlim_cur = pages * (unsigned long)sysconf(_SC_PAGESIZE) + (1 << 20);
    WORKS(onetap_till(&good, &till));
    setrlimit(RLIMIT_AS, &little);
    onetap_status status = onetap_pay(till, &coffee, NULL, &payment);
    setrlimit(RLIMIT_AS, &all);
    EXPECT(ONETAP_KIND_SYSTEM, status);
    /* The till is free again. */
    WORKS(onetap_pay(till, &coffee, NULL, &payment));
    WORKS(onetap_close(payment));
    WORKS(onetap_close(till));
}

static void arguments(void)
{
    onetap_handle handle;
    const onetap_transaction *read;
    const char *text;
    onetap_config config = good;
    EXPECT(ONETAP_KIND_ARGUMENT, onetap_till(NULL, &handle));
    EXPECT(ONETAP_KIND_ARGUMENT, onetap_till(&good, NULL));
    config.size = 1;
    EXPECT(ONETAP_KIND_ARGUMENT, onetap_till(&config, &handle));
    config = good;
    config.terminal = "POS\xFF\xFE";
    EXPECT(ONETAP_KIND_ARGUMENT, onetap_till(&config, &handle));
    config.terminal = NULL;
    EXPECT(ONETAP_KIND_ARGUMENT, onetap_till(&config, &handle));
    config = good;
    config.server = "http://192.0.2.1";
    EXPECT(ONETAP_KIND_ARGUMENT, onetap_till(&config, &handle));
    config = good;
    config.token = NULL;
    EXPECT(ONETAP_KIND_ARGUMENT, onetap_till(&config, &handle));
    onetap_port port = odd;
    port.transmit = NULL;
    config = good;
    config.port = &port;
    EXPECT(ONETAP_KIND_ARGUMENT, onetap_till(&config, &handle));
    EXPECT(ONETAP_KIND_ARGUMENT, onetap_close(0));
    EXPECT(ONETAP_KIND_ARGUMENT, onetap_cancel(UINT64_MAX));
    EXPECT(ONETAP_KIND_ARGUMENT, onetap_json(NULL, 3, &read));
    EXPECT(ONETAP_KIND_ARGUMENT, onetap_trace_show(NULL, &text));
    EXPECT(ONETAP_KIND_ARGUMENT, onetap_trace_import("word", NULL, 0, "", &text));
    WORKS(onetap_till(&good, &handle));
    EXPECT(ONETAP_KIND_ARGUMENT, onetap_cancel(handle));
    EXPECT(ONETAP_KIND_ARGUMENT, onetap_pay(handle, &coffee, "a key with spaces", &handle));
    EXPECT(ONETAP_KIND_ARGUMENT, onetap_pay(handle, NULL, NULL, &handle));
    EXPECT(ONETAP_KIND_ARGUMENT, onetap_resolve(handle, "nothing", 0, &(const onetap_outcome *){NULL}));
    WORKS(onetap_close(handle));
    EXPECT(ONETAP_KIND_CLOSED, onetap_close(handle));
    EXPECT(ONETAP_KIND_CLOSED, onetap_pay(handle, &coffee, NULL, &handle));
    /* A program that was compiled with an older header, which ended before the port. */
    config = good;
    config.size = offsetof(onetap_config, port);
    WORKS(onetap_till(&config, &handle));
    WORKS(onetap_close(handle));
}

static void sources(void)
{
    const onetap_transaction *read;
    const char *text, *code = "BCD\n002\n1\nSCT\n\nShop\nDE89370400440532013000\n\n\n\nOrder 17\n";
    const uint8_t *bytes = (const uint8_t *)code;
    EXPECT(ONETAP_KIND_TRANSACTION, onetap_json((const uint8_t *)"[]", 2, &read));
    EXPECT(ONETAP_KIND_TRANSACTION, onetap_scan((const uint8_t *)"WIFI:", 5, NULL, NULL, &read));
    EXPECT(ONETAP_KIND_TRANSACTION, onetap_fetch("http://192.0.2.1/", NULL, &read));
    EXPECT(ONETAP_KIND_AMOUNT_MISSING, onetap_scan(bytes, strlen(code), NULL, NULL, &read));
    WORKS(onetap_scan(bytes, strlen(code), "7", NULL, &read));
    if (strcmp(read->amount, "7.00"))
        abort();
    /* What one call gave, another one takes. */
    WORKS(onetap_check(read, &read));
    EXPECT(ONETAP_KIND_TRACE, onetap_trace_show("{}", &text));
    EXPECT(ONETAP_KIND_TRACE, onetap_trace_import("apdu4j", bytes, strlen(code), "no log", &text));
    const char *log = "00EE0000\n6E00\n";
    WORKS(onetap_trace_import("apdu4j", (const uint8_t *)log, strlen(log), "one card", &text));
    WORKS(onetap_trace_show(text, &text));
    if (!strstr(text, "one card"))
        abort();
}

/* A payment is recorded, and its trace pays in the place of card and reader. */
static void traces(const char *journal)
{
    onetap_config config = good;
    onetap_handle till;
    const uint8_t *written;
    char file[512];
    size_t len;
    snprintf(file, sizeof file, "%s.trace", journal);
    config.record = file;
    WORKS(ends(&config, false));
    if (decided != ONETAP_END_EXECUTED)
        abort();
    EXPECT(ONETAP_KIND_TRACE, onetap_till(&config, &till));
    char *trace = read_file(file);
    if (!strstr(trace, "field-in") || !strstr(trace, "signature-valid") || !strstr(trace, "field-out"))
        abort();

    config = good;
    config.trace = trace;
    EXPECT(ONETAP_KIND_ARGUMENT, onetap_till(&config, &till));
    config.port = NULL;
    /* What it signed was another payment: the server must not take it for this one. Twice, since a card can come again. */
    for (int i = 0; i < 2; i++) {
        WORKS(ends(&config, false));
        if (decided != ONETAP_END_REFUSED)
            abort();
    }
    coffee.amount = "0.02";
    EXPECT(ONETAP_KIND_TRACE, ends(&config, false));
    if (!strstr(onetap_cause(), "expected  PUT TXN with amount") || !strstr(onetap_cause(), "got       PUT TXN with amount"))
        abort();
    coffee.amount = "0.01";
    config.strict = true;
    EXPECT(ONETAP_KIND_TRACE, ends(&config, false));
    if (!strstr(onetap_cause(), "unpredictable-number"))
        abort();
    config.trace = "{}";
    EXPECT(ONETAP_KIND_TRACE, onetap_till(&config, &till));

    WORKS(onetap_trace_export("pcap", trace, &written, &len));
    if (len < 100 || memcmp(written, "\xD4\xC3\xB2\xA1", 4))
        abort();
    EXPECT(ONETAP_KIND_ARGUMENT, onetap_trace_export("word", trace, &written, &len));
    EXPECT(ONETAP_KIND_TRACE, onetap_trace_export("pcap", "{}", &written, &len));
    free(trace);
}

static onetap_handle followed;

/* Waits until the payment is closed under it, whichever thread was the first to ask. */
static void *follow(void *got)
{
    const onetap_event *event;
    do
        *(onetap_status *)got = onetap_next(followed, ONETAP_FOREVER, &event);
    while (*(onetap_status *)got == ONETAP_OK || *(onetap_status *)got == ONETAP_KIND_BUSY);
    return NULL;
}

static void threads(void)
{
    onetap_config config = good;
    onetap_handle till, second;
    const onetap_event *event;
    onetap_status got = ONETAP_OK, status;
    pthread_t thread;
    bool taken;
    does = 0;
    config.port = &odd;
    WORKS(onetap_till(&config, &till));
    WORKS(onetap_pay(till, &coffee, NULL, &followed));
    EXPECT(ONETAP_KIND_BUSY, onetap_pay(till, &coffee, NULL, &second));
    pthread_create(&thread, NULL, follow, &got);
    do
        status = onetap_next(followed, 0, &event);
    while (status == ONETAP_OK);
    EXPECT(ONETAP_KIND_BUSY, status);
    EXPECT(ONETAP_KIND_ARGUMENT, onetap_type_in(followed, "12", &taken));
    WORKS(onetap_type_in(followed, "12345678", &taken));
    WORKS(onetap_close(followed));
    pthread_join(thread, NULL);
    if (taken || (got != ONETAP_KIND_CLOSED && got != ONETAP_KIND_CANCELLED))
        abort();
    EXPECT(ONETAP_KIND_CLOSED, onetap_next(followed, 0, &event));
    WORKS(onetap_close(till));
}

/* Every call in a process that was forked off, the open ones' too. */
static void forked(void)
{
    onetap_handle till;
    WORKS(onetap_till(&good, &till));
    pid_t child = fork();
    if (child == 0) {
        size_t count;
        bool all = onetap_close(till) == ONETAP_KIND_FORKED && onetap_count(&count) == ONETAP_KIND_FORKED &&
                   onetap_till(&good, &till) == ONETAP_KIND_FORKED && *onetap_cure();
        /* Not by exit: a debugger of memory would take for lost what the threads of the other process have. */
        execlp(all ? "true" : "false", "forked", (char *)NULL);
    }
    int status;
    if (waitpid(child, &status, 0) != child || status != 0)
        abort();
    WORKS(onetap_close(till));
}

static void steps(const char *pcscd)
{
    const char *const *names;
    size_t count;
    onetap_config config = good;
    config.port = &odd;
    does = -1;
    EXPECT(ONETAP_KIND_CALLBACK, ends(&config, false));
    does = 70000;
    EXPECT(ONETAP_KIND_CALLBACK, ends(&config, false));
    does = 1;
    EXPECT(ONETAP_KIND_CARD, ends(&config, false));
    does = 0;
    config.limits.tap_ms = 50;
    EXPECT(ONETAP_KIND_TIMEOUT, ends(&config, false));
    config.terminal = "POS00002";
    EXPECT(ONETAP_KIND_NOT_READY, ends(&config, false));
    config.server = "https://127.0.0.1:1";
    EXPECT(ONETAP_KIND_SERVER, ends(&config, false));
    config.journal = "/proc/journal";
    EXPECT(ONETAP_KIND_JOURNAL, onetap_till(&config, &(onetap_handle){0}));
    if (*pcscd == '1') {
        config = good;
        config.port = NULL;
        config.reader = "none of this name";
        config.limits.tap_ms = 2000;
        EXPECT(ONETAP_KIND_READER, ends(&config, false));
        WORKS(onetap_readers(5000, &names, &count));
        if (count != 2 || !strstr(names[1], "Virtual PCD"))
            abort();
    } else {
        EXPECT(ONETAP_KIND_SERVICE, onetap_readers(5000, &names, &count));
    }
}

/* An attempt whose end is not known, and one whose file was damaged. */
static void attempts(const char *journal)
{
    onetap_config config = good;
    onetap_handle till;
    const onetap_attempt *open;
    const onetap_outcome *outcome;
    size_t count;
    char id[32], name[512] = "";
    config.journal = journal;
    /* The server may have been quicker than the cancellation. */
    while (ends(&config, true) != ONETAP_KIND_UNKNOWN)
        ;
    snprintf(id, sizeof id, "%s", onetap_cause_id());
    WORKS(onetap_till(&config, &till));
    WORKS(onetap_attempts(till, &open, &count));
    if (count != 1 || strcmp(open[0].id, id) || open[0].outcome || strcmp(open[0].transaction->amount, "0.01"))
        abort();
    EXPECT(ONETAP_KIND_ARGUMENT, onetap_forget(till, id));
    struct dirent *entry;
    for (DIR *folder = opendir(journal); (entry = readdir(folder)) || closedir(folder);)
        if (strstr(entry->d_name, id))
            snprintf(name, sizeof name, "%s/%s", journal, entry->d_name);
    /* The same place with another counter, of which the server has never heard. */
    name[strlen(name) - strlen("0.json")] ^= 1;
    FILE *damaged = fopen(name, "w");
    if (!damaged)
        abort();
    fclose(damaged);
    WORKS(onetap_attempts(till, &open, &count));
    size_t other = !strcmp(open[0].id, id);
    if (count != 2 || open[other].transaction)
        abort();
    EXPECT(ONETAP_KIND_NOT_YET, onetap_resolve(till, open[other].id, 60000, &outcome));
    WORKS(onetap_resolve(till, id, 60000, &outcome));
    if (outcome->result != ONETAP_END_EXECUTED && outcome->result != ONETAP_END_CANCELLED)
        abort();
    WORKS(onetap_forget(till, id));
    EXPECT(ONETAP_KIND_ARGUMENT, onetap_forget(till, id));
    WORKS(onetap_close(till));
}

static void cancelled(void)
{
    onetap_config config = good;
    onetap_handle till, payment;
    const onetap_event *event;
    onetap_status status;
    does = 0;
    config.port = &odd;
    WORKS(onetap_till(&config, &till));
    WORKS(onetap_pay(till, &coffee, NULL, &payment));
    WORKS(onetap_cancel(payment));
    while ((status = onetap_next(payment, 60000, &event)) == ONETAP_OK)
        ;
    EXPECT(ONETAP_KIND_CANCELLED, status);
    WORKS(onetap_close(payment));
    WORKS(onetap_close(till));
}

static void watches(const char *pcscd)
{
    onetap_handle watch;
    const onetap_seen *seen;
    bool up = *pcscd == '1';
    WORKS(onetap_watch(&watch));
    WORKS(onetap_watch_next(watch, 60000, &seen));
    if (seen->change != (up ? ONETAP_CHANGE_SERVICE_UP : ONETAP_CHANGE_SERVICE_DOWN))
        abort();
    while (up && seen->change != ONETAP_CHANGE_NOTHING)
        WORKS(onetap_watch_next(watch, 100, &seen));
    WORKS(onetap_close(watch));
    EXPECT(ONETAP_KIND_CLOSED, onetap_watch_next(watch, 0, &seen));
}

int main(int argc, char **argv)
{
    socket_card card;
    if (argc != 8 || *onetap_cause())
        return EXIT_FAILURE;
    onetap_port port = socket_port(&card, argv[5]);
    char *ca = read_file(argv[2]), *token = read_file(argv[3]);
    good = (onetap_config){.size = sizeof good, .terminal = "POS00001", .server = argv[1], .ca = ca,
                           .token = token, .port = &port, .limits = {.check_ms = 60000}};
    coffee = (onetap_transaction){.payee_account = argv[4], .payee_name = "Coffee Shop", .amount = "0.01",
                                  .currency = "EUR", .reference = "Order 17"};
    /* A debugger of memory, under which it runs without a service, needs more room than that. */
    if (*argv[7] == '1')
        no_thread();
    arguments();
    sources();
    traces(argv[6]);
    threads();
    forked();
    cancelled();
    steps(argv[7]);
    watches(argv[7]);
    attempts(argv[6]);
    size_t count;
    WORKS(onetap_count(&count));
    free(ca);
    free(token);
    printf("handles %zu released %d\n", count, card.released);
    return count ? EXIT_FAILURE : EXIT_SUCCESS;
}
