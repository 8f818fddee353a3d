import java.util.UUID;

import org.openapitools.client.ApiClient;
import org.openapitools.client.api.AgentsApi;
import org.openapitools.client.api.TokensApi;
import org.openapitools.client.model.Agent;
import org.openapitools.client.model.OrganizationUpdate;
import org.openapitools.client.model.TokenResponse;

/** Signs in and reads an agent with the generated client. The environment names server and client. */
public final class Call {
    public static void main(String[] arguments) throws Exception {
        String id = System.getenv("FOREIGN_ID");
        ApiClient client = new ApiClient();
        client.updateBaseUri(System.getenv("FOREIGN_URL"));

        TokenResponse token = new TokensApi(client).issueToken(TokensApi.APIIssueTokenRequest.newBuilder()
            .grantType("client_credentials").clientId(id).clientSecret(System.getenv("FOREIGN_SECRET")).scope("agents:read").build());
        ok("token");

        client.setRequestInterceptor(request -> request.header("Authorization", "Bearer " + token.getAccessToken()));
        Agent agent = new AgentsApi(client).getAgent(AgentsApi.APIGetAgentRequest.newBuilder().agentId(UUID.fromString(id)).build());
        if (!agent.getAgentId().toString().equals(id) || agent.getCreatedAt() == null) {
            throw new IllegalStateException("not the agent that was asked for: " + agent);
        }
        ok("agent");

        String unset = client.getObjectMapper().writeValueAsString(new OrganizationUpdate().addUnsetItem("maxAgents"));
        if (!unset.contains("\"unset\":[\"maxAgents\"]")) {
            throw new IllegalStateException("a limit cannot be unset: " + unset);
        }
        ok("unset");
    }

    private static void ok(String check) {
        System.out.println("{\"check\":\"" + check + "\"}");
    }
}
