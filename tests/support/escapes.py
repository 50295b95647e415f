"""What programs in JavaScript and C try in order to get out of the sandbox.

Each language has one program that makes all of its attempts and prints what became of them, a line
for each: its name, a tab, and `got` or the error.
"""
# ruff: noqa: E501 - attempts, each a line

from __future__ import annotations

# Each is the body of an async function; what it returns does not matter, only whether it throws.
JAVASCRIPT = {
    "read a file": "fs.readFileSync(SECRET)",
    "read a file in a thread": "await fs.promises.readFile(SECRET)",
    "read a file through a link": "fs.readFileSync('/proc/self/root' + SECRET)",
    "list a folder": "fs.readdirSync(FOLDER)",
    "read the environment of the parent": "fs.readFileSync(`/proc/${process.ppid}/environ`)",
    "read the memory of the parent": "fs.openSync(`/proc/${process.ppid}/mem`)",
    "read its own maps": "fs.readFileSync('/proc/self/maps')",
    "read the passwords": "fs.readFileSync('/etc/passwd')",
    "write a file": "fs.writeFileSync(SECRET, 'x')",
    "append to a file": "fs.appendFileSync(SECRET, 'x')",
    "make a file": "fs.writeFileSync(FOLDER + '/new', 'x')",
    "make a file here": "fs.writeFileSync('own', 'x')",
    "make a file beside its text": "fs.writeFileSync(__dirname + '/own', 'x')",
    "change its own text": "fs.writeFileSync(__filename, 'x')",
    "change its input": "fs.writeFileSync(__dirname + '/input', 'x')",
    "write to shared memory": "fs.writeFileSync('/dev/shm/own', 'x')",
    "truncate a file": "fs.truncateSync(SECRET)",
    "delete a file": "fs.unlinkSync(SECRET)",
    "rename a file": "fs.renameSync(SECRET, SECRET + '2')",
    "link a file": "fs.linkSync(SECRET, 'here')",
    "make a symbolic link": "fs.symlinkSync(SECRET, 'here')",
    "copy a file": "fs.copyFileSync('/usr/lib/os-release', FOLDER + '/new')",
    "make a folder": "fs.mkdirSync(FOLDER + '/new')",
    "change rights": "fs.chmodSync(SECRET, 0)",
    "change times": "fs.utimesSync(SECRET, 0, 0)",
    "run a command": "require('child_process').execSync('true')",
    "spawn a program": "const s = require('child_process').spawnSync('/bin/true'); if (s.error) throw s.error",
    "spawn Node": "await failed(require('child_process').spawn(process.execPath, ['-v']))",
    "fork Node": "await failed(require('child_process').fork(__filename))",
    "spawn by the binding": (
        "const s = process.binding('spawn_sync').spawn({file: '/bin/true', args: ['true'], envPairs: [],"
        " stdio: [{type: 'ignore'}]}); if (s.error) throw system(s.error)"
    ),
    "listen by the binding": (
        "const { TCP } = process.binding('tcp_wrap'); const e = new TCP(0).bind('127.0.0.1', 0);"
        " if (e) throw system(e)"
    ),
    "open by the binding": "process.binding('fs').open(SECRET, 0, 0)",
    "fork a cluster": "await failed(require('cluster').fork().process)",
    "connect": "await failed(require('net').connect(PORT, '127.0.0.1'))",
    "connect to a socket of files": "await failed(require('net').connect('/run/docker.sock'))",
    "listen": "await failed(require('net').createServer().listen(0))",
    "send a datagram": (
        "const s = require('dgram').createSocket('udp4'); const end = failed(s);"
        " s.send('x', PORT, '127.0.0.1'); await end"
    ),
    "fetch": "await fetch(`http://127.0.0.1:${PORT}/`)",
    "ask for a name": "await require('dns').promises.lookup('example.com')",
    "ask a name server": "await require('dns').promises.resolve4('example.com')",
    "open the inspector": "if (!inspected()) throw new Error('no inspector')",
    "signal the parent": "process.kill(process.ppid, 'SIGUSR1')",
    "signal all": "process.kill(-1, 'SIGUSR1')",
    "slow the parent": "require('os').setPriority(process.ppid, 19)",
    "load an addon": "process.dlopen({exports: {}}, '/usr/lib/x86_64-linux-gnu/libm.so.6')",
    "require an addon": "require.extensions['.node']({exports: {}}, '/usr/lib/own.node')",
    "report to a file": "if (!process.report.writeReport('own')) throw new Error('none')",
    "become another user": "process.setuid(12345)",
    "write a heap snapshot": "if (!require('v8').writeHeapSnapshot('own')) throw new Error('none')",
    "read a file in a worker": (
        "await new Promise((yes, no) => new (require('worker_threads').Worker)("
        "`require('fs').readFileSync(${JSON.stringify(SECRET)})`, {eval: true})"
        ".on('error', no).on('exit', yes))"
    ),
}
JAVASCRIPT_PROGRAM = """
const fs = require("fs");
const SECRET = {secret!r}, FOLDER = {folder!r}, PORT = {port};
const failed = (it) => new Promise((yes, no) => {{
  it?.on("error", no).on("connect", yes).on("listening", yes).on("exit", yes).on("spawn", yes);
}});
const system = (error) => new Error(require("util").getSystemErrorName(error));
const inspected = () => {{
  const it = require("inspector");
  it.open(0);
  return it.url();
}};
const attempts = {{
{attempts}
}};
(async () => {{
  for (const [name, attempt] of Object.entries(attempts)) {{
    let told = "got";
    try {{ await attempt(); }} catch (error) {{ told = String(error.info?.code ?? error.code ?? error.message); }}
    console.log(name + "\\t" + told);
  }}
  process.exit(0);
}})();
"""

# Each is an expression of C that is -1 if it was refused.
C = {
    "read a file": "open(SECRET, O_RDONLY)",
    "read a file through a link": 'open("/proc/self/root" SECRET, O_RDONLY)',
    "list a folder": "open(FOLDER, O_RDONLY | O_DIRECTORY)",
    "read the passwords": 'open("/etc/passwd", O_RDONLY)',
    "read its own memory": 'open("/proc/self/mem", O_RDONLY)',
    "read a device": 'open("/dev/zero", O_RDONLY)',
    "write a file": "open(SECRET, O_WRONLY)",
    "write a file by a handle": "openat(AT_FDCWD, SECRET, O_RDWR | O_APPEND)",
    "make a file": 'creat(FOLDER "/new", 0600)',
    "make a file here": 'open("own", O_CREAT | O_WRONLY, 0600)',
    "make a file without a name": 'open(".", O_TMPFILE | O_RDWR, 0600)',
    "change its own program": 'open("../answer", O_WRONLY)',
    "open by another call": "syscall(SYS_openat2, AT_FDCWD, SECRET, (long[]){0, 0, 0}, 24)",
    "truncate a file": "truncate(SECRET, 0)",
    "delete a file": "unlink(SECRET)",
    "rename a file": 'rename(SECRET, SECRET "2")',
    "link a file": 'link(SECRET, "here")',
    "make a symbolic link": 'symlink(SECRET, "here")',
    "make a folder": 'mkdir(FOLDER "/new", 0700)',
    "make a pipe with a name": 'mkfifo(FOLDER "/new", 0600)',
    "change rights": "chmod(SECRET, 0)",
    "change the owner": "chown(SECRET, 1, 1)",
    "change the root": 'chroot(".")',
    "mount": 'mount("none", "/", "tmpfs", 0, "")',
    "fork": "fork()",
    "fork by the call": "syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0)",
    "fork by vfork": "syscall(SYS_clone, CLONE_VM | CLONE_VFORK | SIGCHLD, 0, 0, 0, 0)",
    "fork by clone3": "syscall(SYS_clone3, (long[8]){0, 0, 0, 0, SIGCHLD}, 64)",
    "start a thread": "started()",
    "run a shell": 'execl("/bin/sh", "sh", "-c", "exit", (char *)0)',
    "run a shell by a handle": 'syscall(SYS_execveat, AT_FDCWD, "/bin/sh", 0, 0, 0)',
    "run a command": 'system("true") == 0 ? 0 : -1',
    "make a session": "setsid()",
    "leave the group": "setpgid(0, 0)",
    "make a socket": "socket(AF_INET, SOCK_STREAM, 0)",
    "make a socket for datagrams": "socket(AF_INET6, SOCK_DGRAM, 0)",
    "make a socket of files": "socket(AF_UNIX, SOCK_STREAM, 0)",
    "make a socket of the kernel": "socket(AF_NETLINK, SOCK_RAW, 0)",
    "make two sockets for datagrams": "socketpair(AF_UNIX, SOCK_DGRAM, 0, (int[2]){0})",
    "make a socket by an instruction": "instructed(SYS_socket, AF_INET, SOCK_STREAM, 0)",
    "open a file by an instruction": "instructed(SYS_openat, AT_FDCWD, (long)SECRET, O_RDONLY)",
    "fork by an instruction": "instructed(SYS_clone, SIGCHLD, 0, 0)",
    "signal the parent": "kill(getppid(), SIGUSR1)",
    "signal all": "kill(-1, SIGUSR1)",
    "signal a thread of the parent": "syscall(SYS_tgkill, getppid(), getppid(), SIGUSR1)",
    "signal any thread": "syscall(SYS_tkill, getppid(), SIGUSR1)",
    "queue a signal": "sigqueue(getppid(), SIGUSR1, (union sigval){0})",
    "let a pipe signal the parent": "fcntl(1, F_SETOWN, getppid())",
    "trace the parent": "ptrace(PTRACE_ATTACH, getppid(), 0, 0)",
    "be traced": "ptrace(PTRACE_TRACEME, 0, 0, 0)",
    "read the memory of the parent": "process_vm_readv(getppid(), 0, 0, 0, 0, 0)",
    "hold the parent": "syscall(SYS_pidfd_open, getppid(), 0)",
    "take a file of the parent": "syscall(SYS_pidfd_getfd, 3, 0, 0)",
    "limit the parent": "prlimit(getppid(), RLIMIT_CPU, &(struct rlimit){1, 1}, 0)",
    "raise its own limit": "setrlimit(RLIMIT_AS, &(struct rlimit){RLIM_INFINITY, RLIM_INFINITY})",
    "write a core file": "setrlimit(RLIMIT_CORE, &(struct rlimit){1 << 20, 1 << 20})",
    "slow the parent": "setpriority(PRIO_PROCESS, getppid(), 19)",
    "become another user": "setuid(12345)",
    "change its name": 'prctl(PR_SET_NAME, "other")',
    "add a filter": "syscall(SYS_seccomp, 1, 8, 0)",
    "leave the name space": "unshare(CLONE_NEWUSER)",
    "ask the kernel to work": "syscall(SYS_io_uring_setup, 1, (char[120]){0})",
    "load a program into the kernel": "syscall(SYS_bpf, 5, 0, 0)",
    "watch the processor": "syscall(SYS_perf_event_open, 0, 0, 0, 0, 0)",
    "make a file in memory": 'memfd_create("own", 0)',
    "share memory": "shmget(IPC_PRIVATE, 4096, IPC_CREAT)",
    "make a queue": "syscall(SYS_msgget, 0, 01000)",
    "keep a key": 'syscall(SYS_add_key, "user", "own", "x", 1, -3)',
    "handle page faults": "syscall(SYS_userfaultfd, 0)",
    "open by a number": "syscall(SYS_open_by_handle_at, AT_FDCWD, 0, 0)",
}
C_PROGRAM = """
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define SECRET "{secret}"
#define FOLDER "{folder}"

static void *nothing(void *it) {{ return it; }}

static long started(void) {{
    pthread_t thread;
    errno = pthread_create(&thread, 0, nothing, 0);
    return errno ? -1 : 0;
}}

static long instructed(long number, long a, long b, long c) {{
#if defined(__x86_64__)
    long done;
    __asm__ volatile("syscall" : "=a"(done) : "a"(number), "D"(a), "S"(b), "d"(c)
                     : "rcx", "r11", "memory");
#else
    register long done __asm__("x0") = a;
    register long x1 __asm__("x1") = b, x2 __asm__("x2") = c, x8 __asm__("x8") = number;
    __asm__ volatile("svc 0" : "+r"(done) : "r"(x1), "r"(x2), "r"(x8) : "memory");
#endif
    if (done >= 0) return done;
    errno = (int)-done;
    return -1;
}}

static void told(const char *name, long done) {{
    printf("%s\\t%s\\n", name, done == -1 ? strerror(errno) : "got");
    fflush(stdout);
}}

int main(void) {{
    pid_t self = getpid();
{attempts}
    return getpid() != self;
}}
"""


def javascript(secret: str, folder: str, port: int) -> str:
    """Return the program of all attempts in JavaScript."""
    lines = (f"{name!r}: async () => {{ {body} }}," for name, body in JAVASCRIPT.items())
    return JAVASCRIPT_PROGRAM.format(
        secret=secret, folder=folder, port=port, attempts="\n".join(lines)
    )


def c(secret: str, folder: str) -> str:
    """Return the program of all attempts in C."""
    lines = (f'    told("{name}", {tried});' for name, tried in C.items())
    return C_PROGRAM.format(secret=secret, folder=folder, attempts="\n".join(lines))
