/* A terminal in one page: pays with the card in a reader of this machine, at a server over TLS.
 *
 *     cc terminal.c $(pkg-config --cflags --libs onetap) -o terminal
 *     ./terminal https://bank.example:8443 ca.pem till.token journal 79927398713 4.20
 */
#include <onetap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int fails(void)
{
    fprintf(stderr, "%s; what to do: %s\n", onetap_cause(), onetap_cure());
    return EXIT_FAILURE;
}

static char *read_file(const char *path)
{
    FILE *file = fopen(path, "r");
    char *text = calloc(1, 65536);
    if (!file || !text || !fread(text, 1, 65535, file)) {
        perror(path);
        exit(EXIT_FAILURE);
    }
    fclose(file);
    return text;
}

static void show(const onetap_outcome *outcome)
{
    const onetap_receipt *receipt = outcome->receipt;
    if (receipt)
        printf("executed: %llu %s (minor units) to %s, transaction %s\n", (unsigned long long)receipt->minor,
               receipt->currency, receipt->payee_name, outcome->id);
    else
        printf("not executed (%d): transaction %s\n", (int)outcome->result, outcome->id);
}

/* What an earlier run left open comes first: never pay again what is not known. */
static int resolve_all(onetap_handle till)
{
    const onetap_attempt *open;
    const onetap_outcome *outcome;
    size_t count;
    for (;;) {
        if (onetap_attempts(till, &open, &count) != ONETAP_OK)
            return fails();
        if (count == 0)
            return EXIT_SUCCESS;
        if (onetap_resolve(till, open[0].id, 30000, &outcome) != ONETAP_OK)
            return fails();
        show(outcome);
        if (onetap_forget(till, outcome->id) != ONETAP_OK)
            return fails();
    }
}

/* Asks until something was typed that can be a password, and that the payment takes. */
static int ask_the_holder(onetap_handle payment)
{
    char line[128];
    bool taken = false;
    while (!taken) {
        printf("Read the card's display, confirm there, and type the joint password: \n");
        fflush(stdout);
        if (!fgets(line, sizeof line, stdin))
            return onetap_cancel(payment);
        onetap_status status = onetap_type_in(payment, line, &taken);
        if (status == ONETAP_KIND_ARGUMENT)
            fails();
        else if (status != ONETAP_OK || !taken)
            break;
    }
    memset(line, 0, sizeof line);
    return ONETAP_OK;
}

static int pay(onetap_handle till, const onetap_transaction *what)
{
    onetap_handle payment;
    const onetap_event *event;
    if (onetap_pay(till, what, NULL, &payment) != ONETAP_OK)
        return fails();
    while (onetap_next(payment, ONETAP_FOREVER, &event) == ONETAP_OK) {
        if (event->what == ONETAP_WHAT_BEGAN && event->step == ONETAP_STEP_TAP) {
            printf("Put the card on the reader.\n");
        } else if (event->what == ONETAP_WHAT_TAP_AGAIN) {
            printf("Tap again: %s; %s.\n", event->cause, event->cure);
        } else if (event->what == ONETAP_WHAT_BEGAN && event->step == ONETAP_STEP_HOLDER) {
            ask_the_holder(payment);
        } else if (event->what == ONETAP_WHAT_ENDED) {
            bool executed = event->outcome->result == ONETAP_END_EXECUTED;
            show(event->outcome);
            onetap_close(payment);
            return executed ? EXIT_SUCCESS : EXIT_FAILURE;
        }
    }
    onetap_close(payment);
    return fails();
}

int main(int argc, char **argv)
{
    if (argc < 7 || argc > 8 || onetap_version() != ONETAP_VERSION) {
        fprintf(stderr, "usage: %s SERVER CA TOKEN JOURNAL ACCOUNT AMOUNT [READER]\n", argv[0]);
        return EXIT_FAILURE;
    }
    char *ca = read_file(argv[2]), *token = read_file(argv[3]);
    onetap_config config = {.size = sizeof config, .terminal = "POS00001", .server = argv[1], .ca = ca,
                            .token = token, .journal = argv[4], .reader = argc > 7 ? argv[7] : NULL};
    onetap_transaction coffee = {.payee_account = argv[5], .payee_name = "Coffee Shop", .amount = argv[6],
                                 .currency = "EUR", .reference = "Order 17"};
    onetap_handle till;
    int status = onetap_till(&config, &till) == ONETAP_OK ? EXIT_SUCCESS : fails();
    if (status == EXIT_SUCCESS) {
        status = resolve_all(till);
        if (status == EXIT_SUCCESS)
            status = pay(till, &coffee);
        onetap_close(till);
    }
    free(ca);
    free(token);
    return status;
}
