// Command api holds what tests need of Kubernetes where no pod runs: a datastore, the API server, the controllers, a client.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	kubectl "k8s.io/kubectl/pkg/cmd"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllers "k8s.io/kubernetes/cmd/kube-controller-manager/app"

	"fairlead.dev/test/component"
)

func main() {
	component.Run(map[string]func() int{
		"etcd":                    func() int { etcdmain.Main(os.Args); return 0 },
		"kube-apiserver":          func() int { return cli.Run(apiserver.NewAPIServerCommand()) },
		"kube-controller-manager": func() int { return cli.Run(controllers.NewControllerManagerCommand()) },
		"kubectl": func() int {
			if cli.RunNoErrOutput(kubectl.NewDefaultKubectlCommand()) != nil {
				return 1
			}
			return 0
		},
	})
}
