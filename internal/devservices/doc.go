// Package devservices runs a PostgreSQL and a Redis of its own for development and tests, so that one command is
// enough to run or test the server and the machine's own databases are never touched.
//
// [Start] finds the programs (or installs Debian's packages, where it is root and apt-get is there), makes a cluster
// below a directory at the first start and reuses it afterwards, and gives [Services] with the URLs. Both servers listen
// on loopback alone, on free ports, and ask for random passwords. They end with [Services.Stop], and also when this
// process dies in any other way; what a killed process left behind is cleared at the next Start.
//
// PostgreSQL refuses to run as root: a root caller's servers run as the user postgres, else nobody.
//
// It runs on Linux and other Unix systems; that children die with their parent is Linux's doing alone.
package devservices
