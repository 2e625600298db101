/*
 * A proxy for one connection at a time, which shows what splice(2) is worth: `splice-proxy splice|copy PORT`.
 * Both ways of it move portions of the same size, through a pipe or through memory.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { portion_bytes = 262144 };

struct way {
    int from, to;
    int pipe[2];
    char *memory;
    size_t held, start;
    bool ended;
};

static bool splices;

static void check(bool holds, const char *what)
{
    if (holds) return;
    perror(what);
    exit(1);
}

static ssize_t take(struct way *way)
{
    if (splices) return splice(way->from, NULL, way->pipe[1], NULL, portion_bytes, SPLICE_F_NONBLOCK);
    way->start = 0;
    return recv(way->from, way->memory, portion_bytes, 0);
}

static ssize_t give(struct way *way)
{
    if (splices) return splice(way->pipe[0], NULL, way->to, NULL, way->held, SPLICE_F_NONBLOCK);
    return send(way->to, way->memory + way->start, way->held, MSG_NOSIGNAL);
}

/* Moves what can be moved now. Both sockets are edge-triggered. */
static void move(struct way *way)
{
    while (!way->ended) {
        if (way->held == 0) {
            ssize_t count = take(way);
            if (count < 0 && errno == EAGAIN) return;
            check(count >= 0, "receive");
            if (count == 0) {
                way->ended = true;
                shutdown(way->to, SHUT_WR);
                return;
            }
            way->held = (size_t)count;
        }
        ssize_t count = give(way);
        if (count < 0 && errno == EAGAIN) return;
        check(count > 0, "send");
        way->held -= (size_t)count;
        way->start += (size_t)count;
    }
}

static void watch(int epoll, int fd)
{
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET};
    check(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0, "epoll_ctl");
}

int main(int count, char **arguments)
{
    check(count == 3, "usage: splice-proxy splice|copy PORT");
    splices = strcmp(arguments[1], "splice") == 0;
    struct way ways[2] = {0};
    for (int index = 0; index < 2; index++) {
        ways[index].memory = malloc(portion_bytes);
        check(pipe2(ways[index].pipe, O_NONBLOCK) == 0, "pipe2");
        check(fcntl(ways[index].pipe[1], F_SETPIPE_SZ, portion_bytes) >= 0, "F_SETPIPE_SZ");
    }
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    check(bind(listener, (struct sockaddr *)&address, length) == 0 && listen(listener, 16) == 0, "listen");
    getsockname(listener, (struct sockaddr *)&address, &length);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    address.sin_port = htons((uint16_t)atoi(arguments[2]));
    for (;;) {
        int client = accept(listener, NULL, NULL);
        int server = socket(AF_INET, SOCK_STREAM, 0);
        check(client >= 0 && connect(server, (struct sockaddr *)&address, sizeof address) == 0, "connect");
        int epoll = epoll_create1(0);
        for (int index = 0; index < 2; index++) {
            ways[index].from = index == 0 ? client : server;
            ways[index].to = index == 0 ? server : client;
            ways[index].ended = false;
            watch(epoll, ways[index].from);
        }
        while (!ways[0].ended || !ways[1].ended) {
            struct epoll_event events[2];
            epoll_wait(epoll, events, 2, -1);
            for (int index = 0; index < 2; index++) move(&ways[index]);
        }
        close(epoll);
        close(client);
        close(server);
    }
}
