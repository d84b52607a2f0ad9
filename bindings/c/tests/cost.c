/* What calls cost in C: nanoseconds for each, by name. Nothing is paid: the payment waits for a server that is silent. */
#include <arpa/inet.h>
#include <onetap.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CALLS 200000

static double now(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (double)at.tv_sec * 1e9 + (double)at.tv_nsec;
}

/* The best of five rounds. */
#define MEASURE(name, call)                                                                                            \
    do {                                                                                                               \
        double best = 1e18;                                                                                            \
        for (int round = 0; round < 5; round++) {                                                                      \
            double start = now();                                                                                      \
            for (int i = 0; i < CALLS; i++)                                                                            \
                if ((call) != ONETAP_OK)                                                                               \
                    return fprintf(stderr, "%s: %s\n", name, onetap_cause()), EXIT_FAILURE;                            \
            double took = now() - start;                                                                               \
            best = took < best ? took : best;                                                                          \
        }                                                                                                              \
        printf("%s %.0f\n", name, best / CALLS);                                                                       \
    } while (0)

/* Takes connections and says nothing. */
static int silent(char *url, size_t room)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    int listening = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listening, (struct sockaddr *)&at, len) || listen(listening, 8) ||
        getsockname(listening, (struct sockaddr *)&at, &len))
        abort();
    snprintf(url, room, "http://127.0.0.1:%d", ntohs(at.sin_port));
    return listening;
}

int main(void)
{
    char url[64];
    int listening = silent(url, sizeof url);
    onetap_config config = {.size = sizeof config, .terminal = "POS00001", .server = url, .token = "token"};
    onetap_transaction coffee = {.payee_account = "DE89370400440532013000", .payee_name = "Coffee Shop",
                                 .amount = "12.34", .currency = "EUR", .reference = "Order 17"};
    const onetap_transaction *checked;
    const onetap_event *event;
    onetap_handle till, payment;
    bool taken;
    MEASURE("check", onetap_check(&coffee, &checked));
    if (onetap_till(&config, &till) || onetap_pay(till, &coffee, NULL, &payment) || onetap_next(payment, 5000, &event))
        return EXIT_FAILURE;
    MEASURE("type_in", onetap_type_in(payment, "12345678", &taken));
    MEASURE("next", onetap_next(payment, 0, &event));
    if (event->what != ONETAP_WHAT_NOTHING)
        return EXIT_FAILURE;
    onetap_close(payment);
    onetap_close(till);
    close(listening);
    return EXIT_SUCCESS;
}
