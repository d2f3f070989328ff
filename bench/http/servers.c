/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: The molt authors */
/* The servers: how each is made and started. */
#include "http/http.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/agent/set.h"
#include "tool/app.h"
#include "tool/bench.h"
#include "tool/talk.h"

#define STOP_MS 5000

/* ---- molt ------------------------------------------------------------------------- */

static const char hello_c[] = "#include <molt/http.h>\n"
                              "\n"
                              "static int hello(struct molt_http *r)\n"
                              "{\n"
                              "    return molt_http_printf(r, 200, \"Hello %d\\n\", 0);\n"
                              "}\n"
                              "\n"
                              "MOLT_ROUTES({\"GET\", \"/\", hello});\n";

static struct {
    struct molt_bench_app *app;
    struct molt_set *set;
    char *root;
    unsigned workers, port;
} molt;

static void prepare_molt(unsigned workers)
{
    molt.root = molt_bench_text("%s/molt", molt_bench_folder());
    molt.workers = workers;
    molt.port = molt_bench_port();
    molt_bench_app_files(molt.root, molt.port);
    char *path = molt_bench_text("%s/src/hello.c", molt.root);
    char *conf = molt_bench_text("%s/molt.conf", molt.root), *old = molt_bench_read(conf);
    char *text = molt_bench_text("%scflags = -O2 -g\n", old);
    molt_bench_write(path, hello_c);
    molt_bench_write(conf, text);
    molt.app = molt_bench_app_new_with(molt.root, false, workers);
    molt.set = molt_bench_app_build(molt.app);
    free(path);
    free(conf);
    free(old);
    free(text);
}

static pid_t start_molt(unsigned *port)
{
    *port = molt.port;
    molt_bench_app_apply(molt.app, molt.set, NULL);
    return molt_bench_app_pid(molt.app);
}

static void tick_molt(void)
{
    molt_bench_app_tick(molt.app);
}

static void stop_molt(void)
{
    molt_bench_app_stop(molt.app);
}

static void finish_molt(void)
{
    molt_set_free(molt.set);
    molt_bench_app_free(molt.app);
    free(molt.root);
}

/* ---- the others are children -------------------------------------------------------- */

static struct {
    struct molt_bench_child child;
    unsigned workers;
} peer;

static pid_t start_peer(const char *const *argv, const char *dir)
{
    char *log = molt_bench_text("%s/servers.log", molt_bench_folder());
    peer.child = molt_bench_start(argv, dir, log, 0);
    free(log);
    return peer.child.pid;
}

static void stop_peer(void)
{
    molt_bench_stop(&peer.child, STOP_MS);
}

static void compile(const char *const *argv, const char *package)
{
    char *log = molt_bench_text("%s/compile.log", molt_bench_folder());
    if (molt_bench_run(argv, NULL, log) != 0) {
        char *text = molt_bench_read(log);
        molt_bench_die("%s failed: %s\nIs %s installed?", argv[0], text, package);
    }
    free(log);
}

/* ---- nginx ---------------------------------------------------------------------------- */

static const char nginx_conf[] = "daemon off;\n"
                                 "worker_processes %u;\n"
                                 "worker_rlimit_nofile 12000;\n"
                                 "error_log stderr crit;\n"
                                 "pid %s/nginx.pid;\n"
                                 "events { worker_connections 11000; use epoll; }\n"
                                 "http {\n"
                                 "  access_log off;\n"
                                 "  server_tokens off;\n"
                                 "  keepalive_requests 1000000000;\n"
                                 "  keepalive_timeout 1h;\n"
                                 "  client_body_temp_path %s/nginx-body;\n"
                                 "  proxy_temp_path %s/nginx-proxy;\n"
                                 "  fastcgi_temp_path %s/nginx-fastcgi;\n"
                                 "  uwsgi_temp_path %s/nginx-uwsgi;\n"
                                 "  scgi_temp_path %s/nginx-scgi;\n"
                                 "  default_type text/plain;\n"
                                 "  server {\n"
                                 "    listen 127.0.0.1:%u backlog=4096;\n"
                                 "    location / { return 200 \"Hello 0\\n\"; }\n"
                                 "  }\n"
                                 "}\n";

static void prepare_nginx(unsigned workers)
{
    peer.workers = workers;
    if (access("/usr/sbin/nginx", X_OK) < 0)
        molt_bench_die("there is no /usr/sbin/nginx; is nginx-light installed?");
}

static pid_t start_nginx(unsigned *port)
{
    const char *f = molt_bench_folder();
    char *path = molt_bench_text("%s/nginx.conf", f);
    *port = molt_bench_port();
    char *text = molt_bench_text(nginx_conf, peer.workers, f, f, f, f, f, f, *port);
    const char *argv[] = {"/usr/sbin/nginx", "-c", path, "-p", f, "-e", "stderr", NULL};
    molt_bench_write(path, text);
    pid_t pid = start_peer(argv, NULL);
    free(text);
    free(path);
    return pid;
}

/* ---- Go -------------------------------------------------------------------------------- */

static void prepare_go(unsigned workers)
{
    char *cache = molt_bench_text("%s/go-cache", molt_bench_folder());
    char *program = molt_bench_text("%s/hello-go", molt_bench_folder());
    char *n = molt_bench_text("%u", workers);
    const char *argv[] = {"go", "build", "-o", program, MOLT_BENCH_SOURCE "/http/peers/hello.go",
                          NULL};
    setenv("GOCACHE", cache, 1);
    setenv("GOMAXPROCS", n, 1);
    compile(argv, "golang-go");
    peer.workers = workers;
    free(cache);
    free(program);
    free(n);
}

static pid_t start_go(unsigned *port)
{
    *port = molt_bench_port();
    char *text = molt_bench_text("127.0.0.1:%u", *port);
    const char *argv[] = {"./hello-go", text, NULL};
    pid_t pid = start_peer(argv, molt_bench_folder());
    free(text);
    return pid;
}

/* ---- Erlang ------------------------------------------------------------------------------ */

static void compile_erlang(const char *source, const char *define, const char *to)
{
    char *path = molt_bench_text("%s/%s", MOLT_BENCH_SOURCE, source);
    const char *argv[] = {"erlc", define, "-o", to, path, NULL};
    molt_bench_mkdir(to);
    compile(argv, "erlang-base");
    free(path);
}

static char *erlang_folder(void)
{
    return molt_bench_text("%s/erlang", molt_bench_folder());
}

static void prepare_erlang(unsigned workers)
{
    char *folder = erlang_folder(), *zero = molt_bench_text("%s/0", folder);
    peer.workers = workers;
    compile_erlang("swap/hello_server.erl", "-Dmolt", folder);
    compile_erlang("swap/hello.erl", "-DVERSION=0", zero);
    free(folder);
    free(zero);
}

/* Its stdin is a pipe: hello_server.erl ends with its input. No busy waiting: the
 * scheduler has a core of its own, and waiting would count as work. */
static pid_t start_beam(const char *module, unsigned *port)
{
    *port = molt_bench_port();
    char *folder = erlang_folder(), *text = molt_bench_text("%u", *port);
    char *schedulers = molt_bench_text("%u:%u", peer.workers, peer.workers);
    char *log = molt_bench_text("%s/servers.log", molt_bench_folder());
    const char *argv[] = {"erl",  "-noshell", "+S",   schedulers, "+sbwt", "none", "+sbwtdcpu",
                          "none", "+sbwtdio", "none", "+Q",       "16384", "-pa",  ".",
                          "-s",   module,     "main", text,       NULL};
    peer.child = molt_bench_start(argv, folder, log, MOLT_BENCH_PIPES);
    free(folder);
    free(text);
    free(schedulers);
    free(log);
    return peer.child.pid;
}

static pid_t start_erlang(unsigned *port)
{
    return start_beam("hello_server", port);
}

/* SIGTERM takes the BEAM a second; the end of its input doesn't. */
static void stop_beam(void)
{
    close(peer.child.in);
    peer.child.in = -1;
    if (molt_bench_join(&peer.child, 2000) < 0)
        molt_bench_stop(&peer.child, STOP_MS);
}

static void prepare_mochiweb(unsigned workers)
{
    char *folder = erlang_folder();
    peer.workers = workers;
    compile_erlang("http/peers/hello_mochiweb.erl", "-Dmolt", folder);
    free(folder);
}

static pid_t start_mochiweb(unsigned *port)
{
    return start_beam("hello_mochiweb", port);
}

/* ---- plain C: no framework, no features, the floor --------------------------------------- */

static void prepare_plain(unsigned workers)
{
    peer.workers = workers;
}

static pid_t start_plain(unsigned *port)
{
    *port = molt_bench_port();
    char *program = molt_bench_program("molt-plain-server", NULL);
    char *text = molt_bench_text("%u", *port);
    const char *argv[] = {program, text, "0", "0", NULL};
    pid_t pid = start_peer(argv, NULL);
    free(program);
    free(text);
    return pid;
}

const struct http_server molt_http_servers[HTTP_WHO] = {
    [HTTP_MOLT] = {"molt", "molt", prepare_molt, start_molt, tick_molt, stop_molt, finish_molt},
    [HTTP_NGINX] = {"nginx", "nginx", prepare_nginx, start_nginx, NULL, stop_peer, NULL},
    [HTTP_GO] = {"go", "Go net/http", prepare_go, start_go, NULL, stop_peer, NULL},
    [HTTP_ERLANG] = {"erlang", "Erlang, own", prepare_erlang, start_erlang, NULL, stop_beam, NULL},
    [HTTP_MOCHIWEB] = {"mochiweb", "Erlang, MochiWeb", prepare_mochiweb, start_mochiweb, NULL,
                       stop_beam, NULL},
    [HTTP_PLAIN] = {"plain", "plain C, epoll", prepare_plain, start_plain, NULL, stop_peer, NULL},
};
